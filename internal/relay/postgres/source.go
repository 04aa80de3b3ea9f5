package postgres

import (
	"context"
	"fmt"
	"time"

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
