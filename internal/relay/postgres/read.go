package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir-dev/weir/internal/relay"
)

// exchange settles rows and reads the next ones, in one round trip. What cannot be
// settled like that is settled with more care, and the rows read after it.
func (s *Source) exchange(ctx context.Context, settle places) (items []relay.Item, full bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var both *places
	if len(settle.numbers) > 0 {
		both = &settle
	}
	items, full, err = s.read(ctx, both)
	if _, refused := errors.AsType[*refusedSettle](err); refused {
		if err := s.settleCarefully(ctx, settle); err != nil {
			return nil, false, err
		}
		items, full, err = s.read(ctx, nil)
	}
	if err == nil {
		err = s.lookForWriters(ctx)
	}
	s.locked = nil
	if answer, answered := errors.AsType[*pgconn.PgError](err); answered && answer.Code == lockNotAvailable && !s.session.conn.IsClosed() {
		s.locked = &relay.Problem{Reason: TableLocked, Err: err, Message: fmt.Sprintf(
			"another session has locked %s, so that it cannot be read; it is tried again: see pg_locks and pg_stat_activity for who holds it", s.table.Name)}
		return nil, false, nil
	}
	return items, full, err
}

// refusedSettle is an answer of the database to the settling of rows, which leaves
// the session as it was.
type refusedSettle struct{ answer *pgconn.PgError }

func (r *refusedSettle) Error() string { return r.answer.Error() }

// read returns the first rows that are not in the ledger, and whether there may be
// more, and settles some before that.
func (s *Source) read(ctx context.Context, settle *places) (items []relay.Item, full bool, err error) {
	start := time.Now()
	var all pgx.Batch
	if settle != nil {
		all.Queue(s.settleSQL, settle.args()...)
	}
	out := s.leftOut()
	bound := s.bound.of(start)
	all.Queue(s.readSQL, append([]any{s.batchSize, s.memory.bytes, bound}, out.args()...)...)
	results := s.session.conn.SendBatch(ctx, &all)
	defer func() { _ = results.Close() }() // again, where it failed: that is told already
	var tag pgconn.CommandTag
	if settle != nil {
		if tag, err = results.Exec(); err != nil {
			return nil, false, s.settleError(err)
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, false, s.readError(err)
	}
	b := batch{encoder: s.encoder, now: time.Now()}
	var read []place
	for b.bytes < maxBatchBytes && rows.Next() {
		sequence, r := b.scan(rows.RawValues())
		at := place{sequence: sequence}
		if !s.table.uniqueSequence {
			at.id = string(r.ID)
		}
		read = append(read, at)
		b.add(r)
	}
	cut := b.bytes >= maxBatchBytes
	rows.Close() // reads and drops what is behind the cut
	if err := errors.Join(rows.Err(), results.Close()); err != nil {
		if ctx.Err() != nil { // it comes too slowly; the next session asks for less
			s.memory.bytes = nextBytes(s.memory.bytes, statementTimeout, true)
		}
		return nil, false, s.readError(err)
	}
	if settle != nil { // which is durable now
		if err := s.settled(ctx, *settle, tag.RowsAffected(), time.Since(start)); err != nil {
			return nil, false, err
		}
	}
	for i, at := range read {
		b.items[i].Number = s.memory.ledger.HandOut(at)
	}
	if b.future > 0 {
		s.watch.Future(b.future)
	}
	// Where bytes are the bound there are more rows, or it is not known.
	full = cut || len(b.items) == s.batchSize || b.bytes >= s.memory.bytes/2
	s.memory.bytes = nextBytes(s.memory.bytes, time.Since(start), cut)
	last := int64(0)
	if len(read) > 0 {
		last = read[len(read)-1].sequence
	}
	s.bound.read(bound, last, start)
	return b.items, full, nil
}

// leftOut are the rows that a read leaves out.
func (s *Source) leftOut() *places {
	all := &places{}
	if !s.table.uniqueSequence {
		all.ids = []string{}
	}
	for number, at := range s.memory.ledger.All() {
		all.add(number, at, s.table.uniqueSequence)
	}
	return all
}

func (s *Source) readError(err error) error {
	return Problem(fmt.Errorf("reading %s: %w", s.table.Name, err))
}

func (s *Source) settleError(err error) error {
	if answer, answered := errors.AsType[*pgconn.PgError](err); answered && !s.session.conn.IsClosed() {
		return &refusedSettle{answer}
	}
	return Problem(fmt.Errorf("settling rows of %s: %w", s.table.Name, err))
}

// nextBytes is how many bytes of payloads the next read asks for, after one that
// took so long: half of it where that was slow, or where they were more once they
// were unpacked than a batch may have; twice as many where it was fast.
func nextBytes(bytes int, took time.Duration, cut bool) int {
	switch {
	case took >= statementTimeout:
		return max(bytes/8, minReadBytes)
	case cut || took > slowRead:
		return max(bytes/2, minReadBytes)
	case took < slowRead/4:
		return min(2*bytes, maxBatchBytes)
	default:
		return bytes
	}
}
