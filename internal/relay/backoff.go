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

// Next is the next pause, each time longer.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(2*b.next, backoffMin), backoffMax)
	return b.next
}

// Wait pauses, each time longer, until ctx ends at the latest.
func (b *Backoff) Wait(ctx context.Context) {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
