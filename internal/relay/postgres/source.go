package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/row"
)

const (
	// minPause is the first pause after the table was found empty; pauses
	// double up to polling.maxInterval.
	minPause = 5 * time.Millisecond
	// maxBatchBytes bounds the rows of a batch (law 5). A row that is larger
	// is a batch of its own.
	maxBatchBytes = 16 << 20
	// minReadBytes is the least that a read asks for, besides one row, and slowRead
	// how long it may take until less is asked for: a read that takes longer than a
	// statement may never arrives.
	minReadBytes = 64 << 10
	slowRead     = 2 * time.Second
	// staleAfter is how long a read may take before its rows are doubted: a
	// relay that was stopped in the middle may have lost its session since.
	staleAfter = time.Second
)

// Watch is told what a source does beside its items. Its functions must not block.
type Watch struct {
	// Settled is called with how many rows were settled, and how long that took.
	Settled func(rows int, took time.Duration)
	// Future is called with how many rows of a batch say that they were created in
	// the future, where there are some.
	Future func(rows int)
}

// Source reads and settles one outbox table in a session that holds its lock.
// It implements relay.Source.
type Source struct {
	session *Session
	table   Table
	encoder *row.Encoder
	watch   Watch
	memory  *Memory

	readSQL, settleSQL string
	batchSize          int
	maxInterval        time.Duration
	pause              time.Duration // before the next read

	owed  owed
	bound bound
	// locked is why nothing could be read the last time though the session lives.
	locked *relay.Problem
}

var _ relay.Source = (*Source)(nil)

// NewSource returns a source for a table that passed Preflight in the session. It
// goes on where the last one with this memory ended.
func NewSource(s *Session, table Table, polling config.Polling, encoder *row.Encoder, memory *Memory, watch Watch) *Source {
	memory.about(table.oid)
	if memory.bytes == 0 {
		memory.bytes = maxBatchBytes
	}
	return &Source{
		session:     s,
		table:       table,
		encoder:     encoder,
		watch:       watch,
		memory:      memory,
		readSQL:     table.read(),
		settleSQL:   table.settle(),
		batchSize:   polling.BatchSize,
		maxInterval: time.Duration(polling.MaxInterval),
	}
}

// Next implements relay.Source. What is owed is settled in the round trip that
// reads. Statements are not interrupted when ctx ends, because that would cost the
// session.
func (s *Source) Next(ctx context.Context) ([]relay.Item, error) {
	if err := s.settleStuck(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	settle := s.due()
	if pause := s.pause; len(settle.numbers) == 0 && pause > 0 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil
		}
	}
	if s.owesTooMuch() {
		return nil, s.wait(ctx)
	}
	start := time.Now()
	items, full, err := s.exchange(context.WithoutCancel(ctx), settle)
	if err != nil {
		return nil, err
	}
	if len(items) > 0 && time.Since(start) > staleAfter {
		if err := s.Keep(context.WithoutCancel(ctx)); err != nil {
			return nil, err
		}
	}
	switch {
	case full:
		s.pause = 0
	case len(items) > 0:
		s.pause = minPause
	default:
		s.pause = min(max(2*s.pause, minPause), s.maxInterval)
	}
	return items, nil
}

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

// Acknowledge implements relay.Source.
func (s *Source) Acknowledge(numbers []int64) {
	for _, number := range numbers {
		s.memory.ledger.Acknowledge(number)
	}
}

// Rewind implements relay.Source.
func (s *Source) Rewind() {
	for _, at := range s.memory.ledger.Out() {
		s.bound.lower(at.sequence)
	}
	s.memory.ledger.Rewind()
	s.pause = 0
}

// Keep implements relay.Source: it shows the server that the session is alive,
// and fails when the session is lost, and the lock with it (law 6).
func (s *Source) Keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := s.session.conn.Ping(ctx); err != nil {
		return Problem(fmt.Errorf("the session that holds the lock is lost: %w", err))
	}
	return nil
}

// Block implements relay.Source. With afterPublish Mark the row becomes
// FAILED; it still blocks, and is tried again, so that correcting the row or
// the routes is all that it takes.
func (s *Source) Block(ctx context.Context, number int64, cause error) *relay.Problem {
	at, _ := s.memory.ledger.Get(number)
	if s.table.mark {
		if _, err := s.session.conn.Exec(ctx, s.table.fail(), at.sequence); err != nil {
			problem := Problem(fmt.Errorf("marking a row of %s as %s: %w", s.table.Name, statusFailed, err))
			problem.Broken = s.session.conn.IsClosed()
			return problem
		}
	}
	c := s.table.columns
	where := fmt.Sprintf("FROM %s WHERE %s = %d", s.table.Name, quote(c.Sequence), at.sequence)
	return &relay.Problem{Reason: PoisonRow, Err: cause, Message: fmt.Sprintf(
		"row %d of %s can never be published, and the rows behind it wait: %v; look at it: SELECT %s, %s, %s, octet_length(%s) %s; "+
			"then correct it by UPDATE, or drop the event: DELETE %s",
		at.sequence, s.table.Name, cause, quote(c.ID), quote(c.Type), quote(c.AggregateID), text(c.Payload), where, where)}
}
