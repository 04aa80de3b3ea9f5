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
	// Next returns the items that follow those it has returned, in the order in
	// which they must be published, at most a flight. It waits while there are
	// none, until ctx ends or its own idle interval passes, and then returns none.
	// Before it waits it settles what is owed, as Settle does.
	Next(ctx context.Context) ([]Item, error)
	// Acknowledge notes, in memory, that the records of these items were
	// acknowledged: they are owed a settlement, and never returned again.
	Acknowledge(numbers []int64)
	// Settle makes durable what was acknowledged, as far as that is possible now:
	// the rest stays owed.
	Settle(ctx context.Context) error
	// Trouble is what keeps the source from reading or settling something though its
	// session lives; nil where nothing does.
	Trouble() *Problem
	// Rewind has Next return again, read anew, what it returned and was not
	// acknowledged.
	Rewind()
	// Keep is called about once a second while records are in flight. An
	// error means that the source lost the right to settle them.
	Keep(ctx context.Context) error
	// Block is told that an item can never be published. It makes that visible
	// where the item is, if it can, and returns what a person should know and do.
	// The item is returned again after a Rewind, and may be cured then. It must be
	// idempotent.
	Block(ctx context.Context, number int64, cause error) *Problem
}

// Item is one row or record on its way. It has a Record or a Poison.
type Item struct {
	// Number names the item to its source, until it is settled, or the source has
	// been rewound.
	Number int64
	// Record is what to produce.
	Record *kgo.Record
	// Poison is why this item can never be published.
	Poison error
}

// Verdict is what an error of a record means for it.
type Verdict uint8

// The verdicts. The zero value is the one that loses nothing.
const (
	// Again: it may be published later, as it is.
	Again Verdict = iota
	// Refused: it, or one that was sent with it, will never be taken.
	Refused
	// Broken: the sink takes nothing any more.
	Broken
)

// Sink is where records go: a Kafka producer that keeps the order per
// partition and acknowledges a record once all in-sync replicas have it.
// kafkasink.Sink is the one that is real.
type Sink interface {
	// Refuse returns why a record can never be published, as far as that is
	// known before producing it: it is too large, whatever becomes of it.
	Refuse(record *kgo.Record) error
	// Alone says whether a record must be sent by itself.
	Alone(record *kgo.Record) bool
	// Send hands over records, all of them before the first is sent where their
	// order matters, and returns at once; done is called exactly once for each,
	// from any goroutine, with nil after the acknowledgement. Once a record has
	// failed, none is sent that was handed over behind it for the same partition.
	// Ending ctx gives up the records that cannot have been written yet.
	Send(ctx context.Context, records []*kgo.Record, done func(i int, err error))
	// Judge says what an error of done means for a record, and what a person
	// should know and do.
	Judge(record *kgo.Record, err error) (Verdict, *Problem)
	// Diagnose finds out why a record is not acknowledged, within two
	// seconds. It returns nil if it finds no reason.
	Diagnose(ctx context.Context, record *kgo.Record) *Problem
}
