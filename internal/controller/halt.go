package controller

import (
	"errors"
	"fmt"
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
	// after is when to look again; zero means when a watch says so, or at the
	// resync interval where only the outside can heal it.
	after time.Duration
	cause error
}

type haltKind uint8

const (
	// retrying: something outside failed and may pass; backoff. Reconciling.
	retrying haltKind = iota
	// stalled: refused by us or by Kafka, until somebody changes something. Stalled.
	stalled
	// waiting: a dependency is not there yet; a watch wakes us. Ready=False.
	waiting
	// progressing: all is well and not finished yet. Reconciling.
	progressing
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

func progress(after time.Duration, format string, args ...any) error {
	return &halt{kind: progressing, reason: v1alpha1.ReasonProgressing, message: fmt.Sprintf(format, args...), after: after}
}

func suspend() error {
	return &halt{kind: suspended, reason: v1alpha1.ReasonSuspended, message: "spec.suspend is true; nothing is touched"}
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
