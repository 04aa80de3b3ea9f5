package config

import "time"

// StatePath is where a worker serves its state as JSON: an OutboxState or a RetryState.
const StatePath = "/state"

// What a worker is doing.
const (
	// Starting: preflight has not finished.
	Starting = "Starting"
	// Standby: everything is in order, another worker holds the lock.
	Standby = "Standby"
	// Active: this worker publishes, or there is nothing to publish.
	Active = "Active"
	// Failing: this worker cannot do its work; Problem says why. It keeps trying.
	Failing = "Failing"
)

// Problem is why a worker cannot do its work, for a person to act on.
type Problem struct {
	// Reason is CamelCase, fit for a condition: DatabaseUnreachable,
	// TableNotFound, ColumnNotFound, PrivilegeMissing, KafkaUnreachable,
	// KafkaUnauthorized, TopicNotFound, PoisonRow, …
	Reason string `json:"reason"`
	// Message is one sentence that names what is wrong and the SQL or command
	// that cures it. No secrets, no volatile numbers.
	Message string `json:"message"`
	// Since is when the problem was first seen.
	Since time.Time `json:"since"`
}

// OutboxState is what `relay outbox` serves at StatePath.
type OutboxState struct {
	Name    string   `json:"name"`
	Phase   string   `json:"phase"`
	Problem *Problem `json:"problem,omitempty"`
	// PendingRows counts rows not settled yet, −1 while unknown. A standby does
	// not count.
	PendingRows int64 `json:"pendingRows"`
	// OldestPendingSeconds is the age of the oldest pending row by the
	// database's clock; 0 without rows, −1 while unknown or without a created column.
	OldestPendingSeconds float64 `json:"oldestPendingSeconds"`
	// PublishedRows counts since the worker's start.
	PublishedRows int64 `json:"publishedRows"`
	// LastPublished is the time of the last acknowledgement, zero before the first.
	LastPublished time.Time `json:"lastPublished,omitzero"`
}

// RetryState is what `relay retry` serves at StatePath.
type RetryState struct {
	Name  string `json:"name"`
	Phase string `json:"phase"`
	// Problem is what keeps the records of all groups from moving.
	Problem *Problem `json:"problem,omitempty"`
	// Groups are those whose files the worker has read, by name of the file.
	Groups map[string]GroupState `json:"groups"`
	// Moved counts records since the worker's start, by destination:
	// "wait", "retry", "dlt".
	Moved map[string]int64 `json:"moved"`
}

// GroupState is how a retry worker is with one group.
type GroupState struct {
	// Group is the Kafka group ID; empty where its file was never understood.
	Group string `json:"group"`
	// Digest is that of the file as it was read last (Digest).
	Digest string `json:"digest"`
	// Problem is what keeps records of this group from moving, its file among
	// the causes: then what the file said before is in effect.
	Problem *Problem `json:"problem,omitempty"`
	// Waiting is how many records of a group that is Draining are still in its
	// failed and wait topics, for all workers together; nil while not known, and
	// of other groups.
	Waiting *int64 `json:"waiting,omitempty"`
}
