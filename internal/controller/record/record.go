// Package record is what Weir owns: which ACL bindings, topics, config values
// and names on a Kafka cluster are of its making or in its keeping, and for
// whom. It is kept in ConfigMaps of the operator's namespace, one record a
// Kafka cluster ID, where no tenant can write; nothing in a resource's status is
// ever read back as authority.
package record

import (
	"context"
	"errors"
	"time"
)

// Ref names a resource: who bears this kind, namespace and name is the same
// one, since UIDs say nothing after a restore. A KafkaCluster has no namespace.
type Ref struct{ Kind, Namespace, Name string }

// String is "Kind namespace/name", or "Kind name" without a namespace.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Kind says what a Key names.
type Kind string

// The kinds of what a record lists.
const (
	Binding         Kind = "Binding" // an ACL binding, in the notation of kafka.Binding.String
	Topic           Kind = "Topic"
	Group           Kind = "Group"
	TransactionalID Kind = "TransactionalID"
)

// Key names one thing on a Kafka cluster.
type Key struct {
	Kind Kind
	Name string
}

// Phase is how far an entry is.
type Phase string

// The phases. The ones of a thing that is on its way are stored before the
// request that makes or removes it.
const (
	Intended Phase = "Intended" // about to be made: it may be there, and be ours
	Held     Phase = "Held"     // there, and Weir's to keep
	Leaving  Phase = "Leaving"  // nobody wants it any more: it is about to be removed
)

// Entry is what is known of a Key.
type Entry struct {
	Phase Phase
	// Found: it was there before a resource declared it. It serves, and stays
	// when it is declared no more.
	Found bool
	// Holder has the name. Bindings are shared and have none.
	Holder Ref
	// Since is when it began to leave; zero otherwise.
	Since time.Time
	// Cause is why it leaves, in a word of whoever lets it go; empty otherwise.
	Cause string
	// ID is the topic's ID as Kafka writes it (base64url), empty where unknown.
	ID string
	// Set are the config values, by key, that Weir set and the broker acknowledged.
	Set map[string]string
	// Lane is what the dead letter topics of a group need; nil without them.
	Lane *Lane
}

// Lane describes the dead letter topics of a consumer group.
type Lane struct {
	// Waits is how many wait topics there are, or ever were.
	Waits int
	// Drain is where what waits in them goes once the group has no policy any more.
	Drain Drain
}

// Drain is how far a lane that is no longer wanted is.
type Drain string

// The lane is in use; what waits goes to the retry topic, or to the dead letters,
// as it comes due; nothing waits any more.
const (
	InUse         Drain = ""
	ToRetry       Drain = "Retry"
	ToDeadLetters Drain = "DeadLetters"
	Drained       Drain = "Drained"
)

// Draining says whether records may wait in a lane that is no longer wanted.
func (l Lane) Draining() bool { return l.Drain == ToRetry || l.Drain == ToDeadLetters }

// Change puts an entry, or removes it where Entry is nil.
type Change struct {
	Key   Key
	Entry *Entry
}

// State is a record as it was read.
type State struct {
	Entries map[Key]Entry
	// Lost: there is no record, although there was one, or it is being rebuilt
	// since then.
	Lost bool
	// Elsewhere is the ID of the Kubernetes cluster that wrote the record last
	// (the UID of its kube-system namespace), where that is not this one.
	Elsewhere string
}

// Record keeps what Weir owns on one Kafka cluster. Safe for concurrent use.
type Record interface {
	// Load reads the record past every cache, once the lease is held.
	Load(context.Context) (State, error)
	// Store writes changes in one request; it is done when it returns nil. What
	// is stored while another store is in flight goes with the next one. It
	// fails with ErrFenced where another process leads: then this one must end.
	Store(context.Context, []Change) error
}

// ErrNotStored says that what is about to be done could not be stored, so that it
// must not be done.
var ErrNotStored = errors.New("what Weir owns cannot be stored in the operator's namespace")

// ErrFenced says that another process writes the record, or may: this one must
// do nothing more and end.
var ErrFenced = errors.New("another process holds the lease of the operator")
