package postgres

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/row"
)

const (
	// arenaBytes, recordChunk and headersPerRecord are what the memory of a
	// batch grows by: a few allocations per batch instead of some per row.
	arenaBytes       = 64 << 10
	recordChunk      = 64
	headersPerRecord = 3
)

// batch builds the items of one read. Its memory is not used again: records of
// a batch that was given up may still be in the producer's hands.
type batch struct {
	encoder *row.Encoder
	// now is when the batch was read; future counts the rows that say that they
	// were created after it.
	now    time.Time
	future int
	items  []relay.Item
	bytes  int

	arena   []byte
	records []kgo.Record
	headers []kgo.RecordHeader
}

// scan copies the values of one row, in the columns' order of Table.read: the
// driver uses their memory again for the next one.
func (b *batch) scan(values [][]byte) (sequence int64, r row.Row) {
	sequence = int64(binary.BigEndian.Uint64(values[colSequence]))
	return sequence, row.Row{
		ID:            b.copy(values[colID]),
		AggregateType: b.copy(values[colAggregateType]),
		AggregateID:   b.copy(values[colAggregateID]),
		Type:          b.copy(values[colType]),
		Payload:       b.copy(values[colPayload]),
		Headers:       b.copy(values[colHeaders]),
		CreatedAt:     b.created(timeOf(values[colCreatedAt])),
	}
}

// add appends the row's record, or why it has none.
func (b *batch) add(r row.Row) {
	if len(b.records) == cap(b.records) {
		b.records = make([]kgo.Record, 0, recordChunk)
		b.headers = make([]kgo.RecordHeader, recordChunk*headersPerRecord)
	}
	b.records = b.records[:len(b.records)+1]
	record := &b.records[len(b.records)-1]
	record.Headers, b.headers = b.headers[:0:headersPerRecord], b.headers[headersPerRecord:]
	if err := b.encoder.Encode(r, record); err != nil {
		item := relay.Item{Poison: err}
		if record.Topic != "" {
			item.Record = record // only rows of its topic have to wait
		}
		b.items = append(b.items, item)
		return
	}
	b.items = append(b.items, relay.Item{Record: record})
}

// copy returns a copy of a value that lives as long as the batch; nil for NULL.
func (b *batch) copy(value []byte) []byte {
	if value == nil {
		return nil
	}
	if len(value) == 0 {
		return []byte{} // not nil: empty is not NULL
	}
	if len(b.arena)+len(value) > cap(b.arena) {
		b.arena = make([]byte, 0, max(arenaBytes, len(value)))
	}
	start := len(b.arena)
	b.arena = append(b.arena, value...)
	b.bytes += len(value)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// clockSkew is how far the clocks of the database and of this worker may be
// apart.
const clockSkew = time.Second

// created is a row's time, or now where that lies in the future: retention and
// the order of time would follow a record's time for as long as it lies ahead.
func (b *batch) created(at time.Time) time.Time {
	if at.After(b.now.Add(clockSkew)) {
		b.future++
		return b.now
	}
	return at
}

// timeOf decodes a binary timestamptz: microseconds since 2000. NULL and the
// infinities are no time that a record can have: zero.
func timeOf(value []byte) time.Time {
	if value == nil {
		return time.Time{}
	}
	const epoch = 946_684_800 // 2000-01-01 in Unix seconds
	micros := int64(binary.BigEndian.Uint64(value))
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(epoch+micros/1e6, micros%1e6*1e3) // a Duration would end after 292 years
}
