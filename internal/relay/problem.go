package relay

import "errors"

// Problem is an error for a person to act on: it becomes config.Problem in the
// worker's state, and a condition of the resource.
type Problem struct {
	// Reason is CamelCase, one of those that config.Problem lists.
	Reason string
	// Message is one sentence that names what is wrong and what cures it. It
	// holds no secrets and no volatile numbers.
	Message string
	// Err is the cause, nil if the message says it all.
	Err error
	// Broken says that waiting does not help: what reports it must be closed
	// and opened anew.
	Broken bool
}

func (p *Problem) Error() string { return p.Reason + ": " + p.Message }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// ProblemOf returns the Problem that err is or wraps; any other error, which must
// be one of Weir's own, becomes a Problem with the given reason and its text.
func ProblemOf(err error, reason string) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	return &Problem{Reason: reason, Message: err.Error(), Err: err}
}
