package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir-dev/weir/internal/relay"
)

const (
	// mostOwed is how many rows may be owed that cannot be settled, until no more
	// are read (law 5).
	mostOwed = 10_000
	// settleAgain is when rows that could not be settled are tried again.
	settleAgain = time.Second
	// mostRefusals is how many statements may be refused while it is found out which
	// rows cannot be settled: the others of them wait for the next time.
	mostRefusals = 64
	// lockTimeout is how long settling waits for a row that another session has
	// locked.
	lockTimeout = 2 * time.Second
	// shortLockTimeout is the same where it is to be found out which rows are locked.
	shortLockTimeout = 50 * time.Millisecond
)

// owed is what is known of rows that could not be settled.
type owed struct {
	stuck   map[int64]struct{} // their numbers in the ledger
	until   time.Time          // when they are tried again
	problem *relay.Problem     // why; nil where there are none
}

// due are the rows that are owed and for which nothing is known that keeps them.
func (s *Source) due() places { return s.owing(false) }

// owing are the rows that are owed and stuck, or those that are not.
func (s *Source) owing(stuck bool) places {
	var all places
	for number, at := range s.memory.ledger.Owed() {
		if _, is := s.owed.stuck[number]; is == stuck {
			all.add(number, at, s.table.uniqueSequence)
		}
	}
	return all
}

// settleStuck tries again, from time to time, to settle what could not be settled.
func (s *Source) settleStuck(ctx context.Context) error {
	if len(s.owed.stuck) == 0 || time.Now().Before(s.owed.until) {
		return nil
	}
	return s.settleCarefully(ctx, s.owing(true))
}

func (s *Source) owesTooMuch() bool { return len(s.owed.stuck) >= mostOwed }

// wait settles what can be while too much is owed for more to be read.
func (s *Source) wait(ctx context.Context) error {
	select {
	case <-time.After(time.Until(s.owed.until)):
	case <-ctx.Done():
	}
	return s.Settle(context.WithoutCancel(ctx))
}

// Trouble implements relay.Source.
func (s *Source) Trouble() *relay.Problem {
	if s.owed.problem != nil {
		return s.owed.problem
	}
	return s.locked
}

// Settle implements relay.Source: one statement for all rows that are owed. Rows
// that are gone already do no harm.
func (s *Source) Settle(ctx context.Context) error {
	if err := s.settleStuck(ctx); err != nil {
		return err
	}
	due := s.due()
	if len(due.numbers) == 0 {
		return nil
	}
	err := s.settle(ctx, due)
	if _, refused := errors.AsType[*refusedSettle](err); refused {
		return s.settleCarefully(ctx, due)
	}
	return err
}

func (s *Source) settle(ctx context.Context, rows places) error {
	start := time.Now()
	tag, err := s.session.conn.Exec(ctx, s.settleSQL, rows.args()...)
	if err != nil {
		return s.settleError(err)
	}
	return s.settled(ctx, rows, tag.RowsAffected(), time.Since(start))
}

// settled notes that a statement has settled so many of these rows. Others may have
// been gone already; which still are there, something keeps.
func (s *Source) settled(ctx context.Context, rows places, n int64, took time.Duration) error {
	kept := map[place]struct{}{}
	if n < int64(len(rows.numbers)) {
		var err error
		if kept, err = s.remaining(ctx, rows); err != nil {
			return err
		}
	}
	s.note(rows, kept, took)
	if len(kept) == 0 {
		return nil
	}
	problem, err := s.ineffective(ctx)
	if err != nil {
		return err
	}
	s.owe(problem)
	return nil
}

// note takes rows out of the ledger but those that are kept, which are stuck.
func (s *Source) note(rows places, kept map[place]struct{}, took time.Duration) {
	settled := 0
	for i, number := range rows.numbers {
		at := place{sequence: rows.sequences[i]}
		if rows.ids != nil {
			at.id = rows.ids[i]
		}
		if _, is := kept[at]; is {
			s.stick(number)
			continue
		}
		settled++
		s.memory.ledger.Settled(number)
		delete(s.owed.stuck, number)
	}
	if len(s.owed.stuck) == 0 {
		s.owed.problem = nil
	}
	if settled > 0 {
		s.watch.Settled(settled, took)
	}
}

func (s *Source) stick(numbers ...int64) {
	if s.owed.stuck == nil {
		s.owed.stuck = map[int64]struct{}{}
	}
	for _, number := range numbers {
		s.owed.stuck[number] = struct{}{}
	}
}

// owe notes why rows are stuck, and when they are tried again.
func (s *Source) owe(problem *relay.Problem) {
	s.owed.problem, s.owed.until = problem, time.Now().Add(settleAgain)
}

// remaining are those of the rows that are there and not settled.
func (s *Source) remaining(ctx context.Context, rows places) (map[place]struct{}, error) {
	kept := map[place]struct{}{}
	found, err := s.session.conn.Query(ctx, s.table.remaining(), rows.args()...)
	if err != nil {
		return nil, s.readError(err)
	}
	var at place
	var id *string
	_, err = pgx.ForEachRow(found, []any{&at.sequence, &id}, func() error {
		at.id = ""
		if id != nil {
			at.id = *id
		}
		kept[at] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, s.readError(err)
	}
	return kept, nil
}

// settleCarefully settles rows of which one cannot be, by halves, and waits for no
// lock.
func (s *Source) settleCarefully(ctx context.Context, rows places) error {
	// PostgreSQL never plans a statement anew of which a rule has left nothing, also
	// not when the rule is gone.
	if err := s.session.conn.DeallocateAll(ctx); err != nil {
		return s.settleError(err)
	}
	if err := s.setLockTimeout(ctx, shortLockTimeout); err != nil {
		return err
	}
	refusals := 0
	for rest := []places{rows}; len(rest) > 0; {
		some := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		err := s.settle(ctx, some)
		refused, is := errors.AsType[*refusedSettle](err)
		switch {
		case err == nil:
		case !is:
			return err
		case len(some.numbers) == 1 || refusals == mostRefusals:
			s.stick(some.numbers...)
			s.owe(s.refused(refused.answer))
		default:
			refusals++
			first, second := some.halves()
			rest = append(rest, second, first)
		}
	}
	return s.setLockTimeout(ctx, lockTimeout)
}

func (s *Source) setLockTimeout(ctx context.Context, timeout time.Duration) error {
	if _, err := s.session.conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", timeout.Milliseconds())); err != nil {
		return s.settleError(err)
	}
	return nil
}

// SQLSTATEs.
const (
	lockNotAvailable    = "55P03"
	foreignKeyViolation = "23503"
)

// refused is the problem of rows that the database does not let go.
func (s *Source) refused(answer *pgconn.PgError) *relay.Problem {
	problem := &relay.Problem{Reason: SettleRefused, Err: answer}
	switch answer.Code {
	case lockNotAvailable:
		problem.Reason = RowsLocked
		problem.Message = fmt.Sprintf(
			"another session has locked rows of %s that were published, so that they cannot be %s; it is tried again: see pg_locks and pg_stat_activity for who holds them",
			s.table.Name, s.table.verb())
	case foreignKeyViolation: // it is the referring table that the answer names
		problem.Message = fmt.Sprintf(
			"rows of %s were published and cannot be %s: table %s refers to them; run: ALTER TABLE %s DROP CONSTRAINT %s, or give it ON DELETE CASCADE",
			s.table.Name, s.table.verb(), answer.TableName, quote(answer.SchemaName)+"."+quote(answer.TableName), quote(answer.ConstraintName))
	default:
		problem.Message = fmt.Sprintf("rows of %s were published and cannot be %s: %s (SQLSTATE %s)", s.table.Name, s.table.verb(), answer.Message, answer.Code)
	}
	return problem
}

// ineffective is the problem of rows that are there after a statement that settled
// them, with what may keep them.
func (s *Source) ineffective(ctx context.Context) (*relay.Problem, error) {
	event, rule := 1<<3, "4" // DELETE, in pg_trigger.h and as pg_rewrite.ev_type
	if s.table.mark {
		event, rule = 1<<4, "2" // UPDATE
	}
	rows, err := s.session.conn.Query(ctx, `
		SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', $1::text, tgname) FROM pg_trigger
		WHERE tgrelid = $2 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 3 = 3 AND tgtype & $3 <> 0
		UNION ALL
		SELECT format('DROP RULE %I ON %s', rulename, $1::text) FROM pg_rewrite
		WHERE ev_class = $2 AND is_instead AND ev_type = $4`,
		s.table.Name, s.table.oid, event, rule)
	if err != nil {
		return nil, s.readError(err)
	}
	cures, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, s.readError(err)
	}
	cure := "look for what does: a trigger of a partition, or a policy of row level security"
	if len(cures) > 0 {
		slices.Sort(cures)
		cure = "run: " + cures[0]
	}
	return &relay.Problem{Reason: SettleIneffective, Message: fmt.Sprintf(
		"rows of %s were published and are still there after they were %s, since something keeps them; they are not published again while this worker runs; %s",
		s.table.Name, s.table.verb(), cure)}, nil
}
