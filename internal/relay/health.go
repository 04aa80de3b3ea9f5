package relay

import (
	"errors"
	"sync"
	"time"

	"github.com/weir-dev/weir/internal/relay/config"
)

// Health is what a worker tells about itself. It is safe for concurrent use.
type Health struct {
	mu      sync.Mutex
	phase   string
	problem *config.Problem
}

// NewHealth returns the health of a worker that is Starting.
func NewHealth() *Health { return &Health{phase: config.Starting} }

// Enter says that the worker reached a phase (Starting, Standby or Active),
// and that what troubled it before is over.
func (h *Health) Enter(phase string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.problem = phase, nil
}

// Begin says that the worker reached a phase, and that it is still to be seen
// whether what troubled it before is over.
func (h *Health) Begin(phase string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = phase
}

// Report says what troubles the worker; nil says that nothing does (any more).
// A problem that is reported again keeps the time when it was first seen.
func (h *Health) Report(p *Problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case p == nil:
		h.problem = nil
	case h.problem == nil || h.problem.Reason != p.Reason || h.problem.Message != p.Message:
		h.problem = &config.Problem{Reason: p.Reason, Message: p.Message, Since: time.Now().UTC()}
	}
}

// State returns the phase, which is Failing while there is a problem, and a
// copy of the problem.
func (h *Health) State() (phase string, problem *config.Problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problem == nil {
		return h.phase, nil
	}
	p := *h.problem
	return config.Failing, &p
}

// Ready returns nil if the worker makes progress, has nothing to do, or stands
// by for another that does (law 8).
func (h *Health) Ready() error {
	phase, problem := h.State()
	switch {
	case problem != nil:
		return errors.New(problem.Reason + ": " + problem.Message)
	case phase == config.Starting:
		return errors.New("starting")
	default:
		return nil
	}
}
