package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// locksInterval is how often it is looked who writes the table.
	locksInterval = time.Second
	// looksShare is how much of the time reads without a bound may take: one in so
	// many.
	looksShare = 100
)

// bound is the number up to which a read need not look, since every row up to it is
// settled or in the ledger. Reads are right without it, and slow where an old
// snapshot keeps the rows that were deleted. Its proof:
//
//  1. n is the highest number that was read, which is visible.
//  2. After that, writers are the transactions that have the table locked as an
//     INSERT does: a transaction takes its lock before its number, so that whoever
//     has a number up to n and has not ended is among them.
//  3. Once none of them is left, every number up to n is visible, or will never be.
//  4. A read that begins after that and returns all rows up to n has them in the
//     ledger.
//
// It holds for numbers that the table itself hands out one by one (Table.numbers).
// Numbers come by other ways too (COPY, OVERRIDING SYSTEM VALUE, a row that is set
// back to PENDING, a table that was restored): from time to time a read has no bound.
type bound struct {
	proven int64 // of step 4

	highest int64 // of step 1
	n       int64 // that is being proven; 0 where none is
	writers map[string]struct{}
	visible bool // step 3 holds for n

	asked time.Time // when the locks were looked at
	// looked is when a read without bound ended, and took how long it took.
	looked time.Time
	took   time.Duration
}

// of is the bound of the next read; 0 is none.
func (b *bound) of(now time.Time) int64 {
	if b.looked.IsZero() || now.Sub(b.looked) > max(locksInterval, looksShare*b.took) {
		return 0
	}
	return b.proven
}

// read notes a read: its bound, and the highest number that it returned; 0 where it
// returned no row.
func (b *bound) read(bound, last int64, began time.Time) {
	if bound == 0 {
		b.looked = time.Now()
		b.took = b.looked.Sub(began)
	}
	b.highest = max(b.highest, last)
	if b.visible && (last == 0 || last >= b.n) {
		b.proven, b.n, b.visible = max(b.proven, b.n), 0, false
	}
}

// lower takes the proof back for numbers from first on, which are not in the ledger
// any more.
func (b *bound) lower(first int64) {
	b.proven = max(0, min(b.proven, first-1))
}

// locked notes who writes the table now.
func (b *bound) locked(now map[string]struct{}) {
	if b.n == 0 && b.highest > b.proven {
		b.n, b.writers = b.highest, now
	}
	for writer := range b.writers {
		if _, still := now[writer]; !still {
			delete(b.writers, writer)
		}
	}
	b.visible = b.n > 0 && len(b.writers) == 0
}

// lookForWriters looks from time to time who writes the table.
func (s *Source) lookForWriters(ctx context.Context) error {
	if !s.table.numbers || time.Since(s.bound.asked) < locksInterval || s.bound.highest <= s.bound.proven {
		return nil
	}
	s.bound.asked = time.Now()
	// A prepared transaction has no process, and keeps its locks.
	rows, err := s.session.conn.Query(ctx, `
		SELECT DISTINCT virtualtransaction FROM pg_locks
		WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid() AND mode LIKE '%Exclusive%'
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND (relation = $1 OR relation IN (SELECT relid FROM pg_partition_tree($1)))`, s.table.oid)
	if err != nil {
		return s.readError(err)
	}
	writers := map[string]struct{}{}
	var writer string
	if _, err := pgx.ForEachRow(rows, []any{&writer}, func() error { writers[writer] = struct{}{}; return nil }); err != nil {
		return s.readError(fmt.Errorf("looking who writes: %w", err))
	}
	s.bound.locked(writers)
	return nil
}
