package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// RetryFile is the name of the file that `relay retry` reads in its directory
// and follows while it runs. Beside it is a file for each group, named by
// GroupFile, so that what one group asks for cannot keep the others from theirs.
const RetryFile = "retry.json"

// Retry is what the retry workers of one KafkaCluster have in common.
type Retry struct {
	// Name is the KafkaCluster's name, for logs and metrics.
	Name  string `json:"name"`
	Kafka Kafka  `json:"kafka"`
	// ConsumerGroup is the Kafka consumer group that the workers share.
	ConsumerGroup string `json:"consumerGroup"`
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
	// Draining is where the records that wait go, as they come due, once the
	// group has no policy any more; empty while it has one. Records that fail
	// meanwhile become dead letters at once.
	Draining string `json:"draining,omitempty"`

	// MaxAttempts counts the first delivery.
	MaxAttempts int `json:"maxAttempts"`
	// Delays[i] is the wait before attempt i+2; MaxAttempts−1 of them.
	Delays []Duration `json:"delays,omitempty"`
	// JitterPercent moves a due time by up to this share of the delay, later
	// only: a wait is never shorter than its delay.
	JitterPercent int `json:"jitterPercent,omitempty"`
	// MaxElapsed counts from the first failure; zero means no limit.
	MaxElapsed Duration `json:"maxElapsed,omitempty"`
	// PermanentErrors are error classes that are never retried; a leading or
	// trailing * matches any text.
	PermanentErrors []string `json:"permanentErrors,omitempty"`
}

// Where the records of a group that has no policy any more go.
const (
	// ToRetry: the group is there and reads its retry topic.
	ToRetry = "Retry"
	// ToDeadLetters: the group is gone.
	ToDeadLetters = "DeadLetters"
)

const groupFilePrefix, groupFileSuffix = "group-", ".json"

// GroupFile is the name of the file of a Kafka group ID, which may hold what a
// file's name may not.
func GroupFile(group string) string { return groupFilePrefix + Digest(group) + groupFileSuffix }

// IsGroupFile says whether a file is a group's by its name.
func IsGroupFile(name string) bool {
	return strings.HasPrefix(name, groupFilePrefix) && strings.HasSuffix(name, groupFileSuffix)
}

// Digest is a short digest of a text: 16 hexadecimal digits of its SHA-256.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
