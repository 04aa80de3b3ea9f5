package controller

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

// halt is how a pass ended short of Ready. Reconcilers return it as an error;
// settle turns it into conditions.
type halt struct {
	kind    haltKind
	reason  string
	message string
	// after is when to look again; zero leaves that to settle.
	after time.Duration
	cause error
}

type haltKind uint8

// The kinds, the one that is tried again soonest first.
const (
	// retrying: something outside failed and may pass; backoff. Reconciling.
	retrying haltKind = iota
	// progressing: all is well and not finished yet. Reconciling.
	progressing
	// stalled: refused by us or by Kafka, until somebody changes something. Stalled.
	stalled
	// waiting: a dependency is not there yet; a watch wakes us. Ready=False.
	waiting
	// suspended: spec.suspend. Ready=Unknown.
	suspended
)

func (h *halt) Error() string { return h.message }
func (h *halt) Unwrap() error { return h.cause }

func stall(reason, format string, args ...any) error {
	return &halt{kind: stalled, reason: reason, message: fmt.Sprintf(format, args...)}
}

func wait(reason, format string, args ...any) error {
	return &halt{kind: waiting, reason: reason, message: fmt.Sprintf(format, args...)}
}

func progress(format string, args ...any) error {
	return &halt{kind: progressing, reason: v1alpha1.ReasonProgressing, message: fmt.Sprintf(format, args...)}
}

// soon makes a halt be looked at again after a while, where no watch tells that
// it is over.
func soon(after time.Duration, err error) error {
	if h, ok := asHalt(err); ok {
		h.after = after
	}
	return err
}

func suspend() error {
	return &halt{kind: suspended, reason: v1alpha1.ReasonSuspended, message: "spec.suspend is true; nothing is touched"}
}

// together makes one error of those of independent parts of a pass, nil where
// there are none: what may pass by itself decides, so that it is tried again
// soon, and the message says them all.
func together(errs ...error) error {
	var halts []*halt
	for _, err := range errs {
		if err != nil {
			halts = append(halts, haltOf(err))
		}
	}
	if len(halts) == 0 {
		return nil
	}
	slices.SortStableFunc(halts, func(a, b *halt) int { return cmp.Compare(a.kind, b.kind) })
	all := *halts[0]
	var messages []string
	for _, h := range halts {
		if !slices.Contains(messages, h.message) {
			messages = append(messages, h.message)
		}
	}
	all.message = strings.Join(messages, "; ")
	all.cause = errors.Join(errs...)
	return &all
}

// kafkaHalt turns an error of the seam into a halt: rejected stalls, transient
// is tried again.
func kafkaHalt(err error) error {
	if err == nil {
		return nil
	}
	classified := kafka.Classify(err)
	kind := retrying
	if classified.Class == kafka.Rejected {
		kind = stalled
	}
	return &halt{kind: kind, reason: classified.Reason, message: classified.Message, cause: err}
}

// seamError is kafkaHalt's inverse, for a halt that has to pass through the seam.
func seamError(err error) error {
	h, ok := asHalt(err)
	if !ok {
		return err
	}
	return &kafka.Error{Class: kafka.Rejected, Reason: h.reason, Message: h.message, Err: err}
}

func asHalt(err error) (*halt, bool) { return errors.AsType[*halt](err) }

// haltOf is err as a halt. What is not one comes from the API server, and may
// pass.
func haltOf(err error) *halt {
	if h, ok := asHalt(err); ok {
		return h
	}
	return &halt{kind: retrying, reason: v1alpha1.ReasonProgressing, message: err.Error(), cause: err}
}
