// Package halt says how a pass of a reconciler ended short of Ready: an error
// with a kind, a reason and a message. It decides nothing else; package settle
// turns a halt into conditions and into the time of the next pass.
package halt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// Halt is how a pass ended short of Ready. Reconcilers return it as an error;
// settle turns it into conditions.
type Halt struct {
	Kind    Kind
	Reason  string
	Message string
	// After is when to look again; zero leaves that to settle.
	After time.Duration
	cause error
}

// Kind says what has to happen before a pass can get further.
type Kind uint8

// The kinds, the one that is tried again soonest first.
const (
	// Retrying: something outside failed and may pass; backoff. Reconciling.
	Retrying Kind = iota
	// Progressing: all is well and not finished yet. Reconciling.
	Progressing
	// Stalled: refused by us or by Kafka, until somebody changes something. Stalled.
	Stalled
	// Waiting: a dependency is not there yet; a watch wakes us. Ready=False.
	Waiting
	// Suspended: spec.suspend. Ready=Unknown.
	Suspended
	// Undecided: it is not known yet what to say; status stays as it is.
	Undecided
)

func (h *Halt) Error() string { return h.Message }
func (h *Halt) Unwrap() error { return h.cause }

// Stall refuses what a resource asks for, until somebody changes something.
func Stall(reason, format string, args ...any) error {
	return &Halt{Kind: Stalled, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Wait waits for a dependency that is not there yet.
func Wait(reason, format string, args ...any) error {
	return &Halt{Kind: Waiting, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Progress says what is under way, and not finished yet.
func Progress(format string, args ...any) error {
	return &Halt{Kind: Progressing, Reason: v1alpha1.ReasonProgressing, Message: fmt.Sprintf(format, args...)}
}

// Soon makes a halt be looked at again after a while, where no watch tells that
// it is over.
func Soon(after time.Duration, err error) error {
	if h, ok := As(err); ok {
		h.After = after
	}
	return err
}

// Suspend says that spec.suspend is set.
func Suspend() error {
	return &Halt{Kind: Suspended, Reason: v1alpha1.ReasonSuspended, Message: "spec.suspend is true; nothing is touched"}
}

// Undecide says that nothing can be said yet, as when the operator has just
// started. Whoever knows more wakes the resource.
func Undecide(format string, args ...any) error {
	return &Halt{Kind: Undecided, Reason: v1alpha1.ReasonProgressing, Message: fmt.Sprintf(format, args...)}
}

// SuspendedOr is err, or, where a resource is suspended, that it is: what keeps a
// pass from getting further is no matter then. What is undecided stays so.
func SuspendedOr(suspended bool, err error) error {
	if h, ok := As(err); suspended && (!ok || h.Kind != Undecided) {
		return Suspend()
	}
	return err
}

// Together makes one error of those of independent parts of a pass, nil where
// there are none: what may pass by itself decides, so that it is tried again
// soon, and the message says them all.
func Together(errs ...error) error {
	var halts []*Halt
	for _, err := range errs {
		if err != nil {
			halts = append(halts, Of(err))
		}
	}
	if len(halts) == 0 {
		return nil
	}
	slices.SortStableFunc(halts, func(a, b *Halt) int { return cmp.Compare(a.Kind, b.Kind) })
	all := *halts[0]
	var messages []string
	for _, h := range halts {
		if !slices.Contains(messages, h.Message) {
			messages = append(messages, h.Message)
		}
	}
	all.Message = strings.Join(messages, "; ")
	all.cause = errors.Join(errs...)
	return &all
}

// Kafka turns an error of the seam into a halt: rejected stalls, transient
// is tried again.
func Kafka(err error) error {
	if err == nil {
		return nil
	}
	classified := kafka.Classify(err)
	kind := Retrying
	if classified.Class == kafka.Rejected {
		kind = Stalled
	}
	return &Halt{Kind: kind, Reason: classified.Reason, Message: classified.Message, cause: err}
}

// Rejection is the inverse of Kafka: an error of the seam that says what a halt
// says, for one that has to pass through the seam.
func Rejection(err error) error {
	h, ok := As(err)
	if !ok {
		return err
	}
	return &kafka.Error{Class: kafka.Rejected, Reason: h.Reason, Message: h.Message, Err: err}
}

// As is the halt in err, where there is one.
func As(err error) (*Halt, bool) { return errors.AsType[*Halt](err) }

// Of is err as a halt. What is not one comes from the API server, and may
// pass.
func Of(err error) *Halt {
	if h, ok := As(err); ok {
		return h
	}
	return &Halt{Kind: Retrying, Reason: v1alpha1.ReasonProgressing, Message: err.Error(), cause: err}
}
