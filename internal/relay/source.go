package relay

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Source is where records come from: an outbox table, or a topic.
//
// The engine calls Next and Settle from one goroutine, in turn.
type Source interface {
	// Next returns the next items in the order in which they must be
	// published, at most a batch. It waits (until ctx ends, or its own idle
	// interval passes) while there are none, and may then return none.
	// Items that were not settled are returned again by a later Next.
	Next(ctx context.Context) ([]Item, error)
	// Settle makes the outcomes durable: outcomes[i] belongs to items[i], and
	// items is what the last Next returned. It is idempotent: settling again
	// after an error does no harm. An error means that none or some of the
	// outcomes may have been made durable.
	Settle(ctx context.Context, items []Item, outcomes []Outcome) error
}

// Item is one row or record on its way.
type Item struct {
	// Record is what to produce; nil where Poison is set.
	Record *kgo.Record
	// Poison is why this item can never be published; nil if it can.
	Poison error
	// Position identifies the item to its source.
	Position any
}

// Outcome is the verdict on one item. The zero value means "try again", so
// that forgetting to judge an item never counts it as published (law 2).
type Outcome uint8

const (
	// TryAgain leaves the item where it is.
	TryAgain Outcome = iota
	// Published means that the broker acknowledged the record.
	Published
)
