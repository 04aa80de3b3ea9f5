package relay

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Source is where records come from: an outbox table, or a topic.
//
// The engine calls its methods from one goroutine, in turn. An error of Next,
// Settle or Keep ends the run: the source lost its session, and whoever opened
// it opens another. Such errors should be a *Problem, or wrap one.
type Source interface {
	// Next returns the next items in the order in which they must be
	// published, at most a batch. It waits while there are none, until ctx
	// ends or its own idle interval passes, and may then return none: an
	// empty answer tells the engine that there is nothing to do. Items that
	// were not settled are returned again by a later Next.
	Next(ctx context.Context) ([]Item, error)
	// Settle makes durable that the records of the first n items of the last
	// Next were acknowledged. It is called at most once per Next. An error
	// means that some of them may have been settled.
	Settle(ctx context.Context, n int) error
	// Keep is called about once a second while records are in flight. An
	// error means that the source lost the right to settle them.
	Keep(ctx context.Context) error
	// Block is told that item i of the last Next can never be published,
	// after all items before it were settled. It makes that visible where the
	// item is, if it can, and returns what a person should know and do. The
	// engine asks Next again after a pause, in the hope of a cure. It must be
	// idempotent.
	Block(ctx context.Context, i int, cause error) *Problem
}

// Item is one row or record on its way. Exactly one of its fields is set.
type Item struct {
	// Record is what to produce.
	Record *kgo.Record
	// Poison is why this item can never be published.
	Poison error
}

// Sink is where records go: a Kafka producer that keeps the order per
// partition and acknowledges a record once all in-sync replicas have it.
// kafkasink.Sink is the one that is real.
type Sink interface {
	// Refuse returns why a record can never be published, as far as that is
	// known before producing it: it is larger than its topic allows. A later
	// record would overtake one that fails in the producer or on the broker. A
	// *Problem that is Broken says that a new sink might not refuse it.
	Refuse(record *kgo.Record) error
	// Produce hands a record over and returns at once; done is called exactly
	// once, from any goroutine, with nil after the acknowledgement. Ending
	// ctx gives up the record unless it may have been written already.
	Produce(ctx context.Context, record *kgo.Record, done func(error))
	// TooLarge reports whether err means that a record, or the batch it was
	// sent in, exceeds the limit of its topic.
	TooLarge(err error) bool
	// Explain turns an error of done into what a person should know and do.
	Explain(record *kgo.Record, err error) *Problem
	// Diagnose finds out why a record is not acknowledged, within two
	// seconds. It returns nil if it finds no reason.
	Diagnose(ctx context.Context, record *kgo.Record) *Problem
}
