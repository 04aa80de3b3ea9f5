package relay

import (
	"context"
	"time"
)

// The pause after a failure doubles from backoffMin to backoffMax. The maximum
// is short, because a pause delays recovery too and costs one statement or
// connection attempt at most.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = time.Second
)

// Backoff is the pause between attempts that fail. The zero value is ready to use.
type Backoff struct{ next time.Duration }

// Reset makes the next pause the shortest; call it after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Wait pauses, each time longer, until ctx ends at the latest.
func (b *Backoff) Wait(ctx context.Context) {
	b.next = min(max(2*b.next, backoffMin), backoffMax)
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
