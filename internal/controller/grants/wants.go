package grants

import (
	"time"

	"github.com/weir-dev/weir/internal/kafka"
)

// Want is how much a resource wants a binding.
type Want uint8

// The wants, in rising order: where several resources want a binding, the
// highest counts.
const (
	// Keep: the binding stays if it is Weir's, and is never added.
	Keep Want = iota + 1
	// Grant: the binding is to be there.
	Grant
)

// Wants are the bindings that a resource wants. READ and WRITE imply DESCRIBE in
// Kafka, so no DESCRIBE is among them.
type Wants map[kafka.Binding]Want

// Cause is why nobody wants a binding of Weir's any more. It decides when the
// binding goes.
type Cause uint8

// The causes, in rising order of care. Where several resources let a binding go,
// that of the last one counts.
const (
	// Now: the caller answers for it, as where the topic itself is deleted.
	Now Cause = iota + 1
	// Asked: the resource's own spec changed, or its deletion was seen.
	Asked
	// Consequence: somebody else's object changed.
	Consequence
	// Absent: what wanted it is not there, and nobody saw it go.
	Absent
)

// String is the cause in a condition's words.
func (c Cause) String() string {
	switch c {
	case Now:
		return "now"
	case Asked:
		return "asked"
	case Consequence:
		return "consequence"
	default:
		return "absent"
	}
}

// causeNamed is the Cause that a record names; zero where it names none.
func causeNamed(word string) Cause {
	for cause := Now; cause <= Absent; cause++ {
		if cause.String() == word {
			return cause
		}
	}
	return 0
}

// How long a binding is left after the last resource let it go.
const (
	// askedAfter bridges a delete and recreate.
	askedAfter = 5 * time.Second
	// absentAfter bridges a start with a half-restored cluster.
	absentAfter = 10 * time.Minute
)

func (c Cause) delay() time.Duration {
	switch c {
	case Asked:
		return askedAfter
	case Absent:
		return absentAfter
	default:
		return 0
	}
}

// braked reports whether many removals of this cause are held.
func (c Cause) braked() bool { return c == Consequence || c == Absent }
