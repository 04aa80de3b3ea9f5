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
	// staleAfter is how long a read may take before its rows are doubted: a
	// relay that was stopped in the middle may have lost its session since.
	staleAfter = time.Second
)

// Source reads and settles one outbox table in a session that holds its lock.
// It implements relay.Source.
type Source struct {
	session *Session
	table   Table
	encoder *row.Encoder

	readSQL, settleSQL string
	batchSize          int
	// limit is how many rows the next read asks for: fewer than batchSize
	// after rows so large that a batch was cut short by maxBatchBytes.
	limit       int
	maxInterval time.Duration
	pause       time.Duration // before the next read
	future      func(rows int)

	// The last batch, in step with the items that Next returned.
	sequences []int64
	ids       []string
}

var _ relay.Source = (*Source)(nil)

// NewSource returns a source for a table that passed Preflight in the session.
// It calls future with how many rows of a batch say that they were created in
// the future, where there are some.
func NewSource(s *Session, table Table, polling config.Polling, encoder *row.Encoder, future func(rows int)) *Source {
	return &Source{
		session:     s,
		table:       table,
		encoder:     encoder,
		readSQL:     table.read(),
		settleSQL:   table.settle(),
		batchSize:   polling.BatchSize,
		limit:       polling.BatchSize,
		maxInterval: time.Duration(polling.MaxInterval),
		future:      future,
	}
}

// Next implements relay.Source. Statements are not interrupted when ctx ends,
// because that would cost the session.
func (s *Source) Next(ctx context.Context) ([]relay.Item, error) {
	if s.pause > 0 {
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	start := time.Now()
	items, full, err := s.read(context.WithoutCancel(ctx))
	if err != nil {
		return nil, Problem(fmt.Errorf("reading %s: %w", s.table.Name, err))
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

// read returns the first rows, and whether there may be more.
func (s *Source) read(ctx context.Context) (items []relay.Item, full bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := s.session.conn.Query(ctx, s.readSQL, formats, s.limit)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	b := batch{encoder: s.encoder, now: time.Now()}
	s.sequences, s.ids = s.sequences[:0], s.ids[:0]
	for b.bytes < maxBatchBytes && rows.Next() {
		sequence, r := b.scan(rows.RawValues())
		s.sequences = append(s.sequences, sequence)
		if !s.table.uniqueSequence {
			s.ids = append(s.ids, string(r.ID))
		}
		b.add(r)
	}
	cut := b.bytes >= maxBatchBytes
	rows.Close() // reads and drops what is behind the cut
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if b.future > 0 {
		s.future(b.future)
	}
	full = cut || len(b.items) == s.limit
	s.limit = nextLimit(s.limit, len(b.items), cut, s.batchSize)
	return b.items, full, nil
}

// nextLimit asks for as many rows as fit last time after a batch was cut
// short, and for twice as many after that, up to the batch size.
func nextLimit(limit, read int, cut bool, batchSize int) int {
	if cut {
		return max(read, 1)
	}
	return min(2*limit, batchSize)
}

// Settle implements relay.Source: one statement for the batch. Rows that are
// gone already, or that another session holds locked and deletes, do no harm.
func (s *Source) Settle(ctx context.Context, n int) error {
	args := []any{s.sequences[:n]}
	if !s.table.uniqueSequence {
		args = append(args, s.ids[:n])
	}
	if _, err := s.session.conn.Exec(ctx, s.settleSQL, args...); err != nil {
		return Problem(fmt.Errorf("settling rows of %s: %w", s.table.Name, err))
	}
	return nil
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
func (s *Source) Block(ctx context.Context, i int, cause error) *relay.Problem {
	sequence := s.sequences[i]
	if s.table.mark {
		if _, err := s.session.conn.Exec(ctx, s.table.fail(), sequence); err != nil {
			return Problem(fmt.Errorf("marking a row of %s as %s: %w", s.table.Name, statusFailed, err))
		}
	}
	c := s.table.columns
	where := fmt.Sprintf("FROM %s WHERE %s = %d", s.table.Name, quote(c.Sequence), sequence)
	return &relay.Problem{Reason: PoisonRow, Err: cause, Message: fmt.Sprintf(
		"row %d of %s can never be published, and the rows behind it wait: %v; look at it: SELECT %s, %s, %s, octet_length(%s) %s; "+
			"then correct it by UPDATE, or drop the event: DELETE %s",
		sequence, s.table.Name, cause, quote(c.ID), quote(c.Type), quote(c.AggregateID), text(c.Payload), where, where)}
}
