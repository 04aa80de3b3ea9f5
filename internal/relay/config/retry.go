package config

// RetryFile is the name of the file that `relay retry` reads in its directory
// and follows while it runs.
const RetryFile = "retry.json"

// Retry is the whole configuration of the retry workers of one KafkaCluster.
type Retry struct {
	// Name is the KafkaCluster's name, for logs and metrics.
	Name  string `json:"name"`
	Kafka Kafka  `json:"kafka"`
	// ConsumerGroup is the Kafka consumer group that the workers share.
	ConsumerGroup string `json:"consumerGroup"`
	// Groups are the consumer groups that have a policy, by Group unique.
	Groups []RetryGroup `json:"groups"`
}

// RetryGroup is one consumer group and the policy for its failed records.
type RetryGroup struct {
	// Name is "<namespace>/<name>" of the ConsumerGroup resource.
	Name string `json:"name"`
	// Group is the Kafka group ID, from which the names of the group's topics
	// follow (internal/deadletter).
	Group string `json:"group"`
	// Waits is the number of wait topics to read. It never shrinks while the
	// group has a policy, so that a shorter schedule strands no record.
	Waits int `json:"waits"`

	// MaxAttempts counts the first delivery.
	MaxAttempts int `json:"maxAttempts"`
	// Delays[i] is the wait before attempt i+2; MaxAttempts−1 of them.
	Delays []Duration `json:"delays"`
	// JitterPercent moves a due time by up to this share of the delay, later
	// only: a wait is never shorter than its delay.
	JitterPercent int `json:"jitterPercent,omitempty"`
	// MaxElapsed counts from the first failure; zero means no limit.
	MaxElapsed Duration `json:"maxElapsed,omitempty"`
	// PermanentErrors are error classes that are never retried; a leading or
	// trailing * matches any text.
	PermanentErrors []string `json:"permanentErrors,omitempty"`
}
