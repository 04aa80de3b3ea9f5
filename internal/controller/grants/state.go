package grants

import (
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Phase is how far the bindings that a resource was granted are.
type Phase string

// The phases.
const (
	// Unknown: the resource has declared nothing yet, or the cluster has not been
	// looked at.
	Unknown Phase = "Unknown"
	// Pending: something is still to be added.
	Pending Phase = "Pending"
	// Enforced: all is there.
	Enforced Phase = "Enforced"
	// Disabled: the cluster has had no authorizer for a while.
	Disabled Phase = "Disabled"
	// Refused: Kafka refuses a binding; Why says why.
	Refused Phase = "Refused"
	// Denied: all is there, and somebody else denies it; Binding is the one that
	// denies.
	Denied Phase = "Denied"
	// Contested: all is there, and somebody else removes it again and again.
	Contested Phase = "Contested"
)

// State is what a resource is told of its bindings.
type State struct {
	Phase Phase
	// Why is set where the phase is Refused, and where it is Pending because of an
	// error.
	Why error
	// Binding is the one that is refused or contested, or that denies.
	Binding kafka.Binding
}

// same reports whether a resource would say the same of both.
func (s State) same(other State) bool {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return s.Phase == other.Phase && s.Binding == other.Binding && text(s.Why) == text(other.Why)
}

// Report is what the writer of a cluster says of its work.
type Report struct {
	// Bindings is how many are in the record.
	Bindings int
	// Leaving is how many are leaving, Since when the first of them began to.
	Leaving int
	Since   time.Time
	// Held are removals that the brake holds; nil where there are none.
	Held *Held
	// Waiting is how many expected resources have not declared anything yet:
	// until they have, nothing absent leaves.
	Waiting []record.Ref
	// Rebuilding: the record was lost, and does not have yet what all expected
	// resources have declared.
	Rebuilding bool
	// Trouble is why the last round could not do what is due; nil where it could.
	Trouble error
}
