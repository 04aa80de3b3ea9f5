package settle

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// eventRate is how many events are sent a second, once eventBurst were at once:
	// in a storm they come after what they tell of, which costs the API server as
	// much.
	eventRate, eventBurst = 10, 50
	// mostEvents is how many wait at most. What is beyond is not told: status says
	// the same.
	mostEvents = 20_000
)

// Paced hands events on to a recorder, at a rate that leaves the API server to
// those who change something. Start sends those that wait. Safe for concurrent use.
type Paced struct {
	recorder events.EventRecorder
	limiter  flowcontrol.RateLimiter

	mu      sync.Mutex
	waiting []func()
	more    chan struct{} // holds one: something waits
}

// NewPaced paces a recorder.
func NewPaced(recorder events.EventRecorder) *Paced {
	return &Paced{recorder: recorder, limiter: flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst), more: make(chan struct{}, 1)}
}

// Eventf implements events.EventRecorder.
func (p *Paced) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	p.send(func() { p.recorder.Eventf(regarding, related, kind, reason, action, note, args...) })
}

func (p *Paced) send(event func()) {
	p.mu.Lock()
	if len(p.waiting) == 0 && p.limiter.TryAccept() {
		p.mu.Unlock()
		event()
		return
	}
	if len(p.waiting) < mostEvents {
		p.waiting = append(p.waiting, event)
	}
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default: // it has been told
	}
}

// Start sends events that wait until ctx ends; what waits then is not told.
func (p *Paced) Start(ctx context.Context) error {
	for {
		select {
		case <-p.more:
		case <-ctx.Done():
			return nil
		}
		for event := p.next(ctx); event != nil; event = p.next(ctx) {
			event()
		}
	}
}

// next is the next event, once it may be sent; nil where none waits.
func (p *Paced) next(ctx context.Context) func() {
	p.mu.Lock()
	none := len(p.waiting) == 0
	p.mu.Unlock()
	if none || p.limiter.Wait(ctx) != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	event := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return event
}
