package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/row"
	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// newSource is a source of a table of its own, whose settling is counted.
func newSource(t *testing.T, memory *Memory, batchSize int) (source *Source, db *pgx.Conn) {
	t.Helper()
	uri := env.SharedPostgres(t).Database(t)
	db, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	exec(t, db, `CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
		aggregatetype text NOT NULL DEFAULT 'order', aggregateid text NOT NULL DEFAULT 'a', type text NOT NULL DEFAULT 't', payload bytea)`)
	file := filepath.Join(t.TempDir(), "uri")
	if err := os.WriteFile(file, []byte(uri), 0o600); err != nil {
		t.Fatal(err)
	}
	session, err := Connect(t.Context(), file, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	o := outboxOf(batchSize)
	table, err := session.Preflight(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return NewSource(session, table, o.Polling, row.NewEncoder(o.Routes), memory, Watch{
		Settled: func(int, time.Duration) {}, Future: func(int) {},
	}), db
}

func pollingOf(batchSize int) config.Polling {
	return config.Polling{MaxInterval: config.Duration(time.Millisecond), BatchSize: batchSize}
}

func outboxOf(batchSize int) config.Outbox {
	return config.Outbox{
		Table:        "public.outbox",
		Columns:      config.Columns{ID: "id", AggregateType: "aggregatetype", AggregateID: "aggregateid", Type: "type", Payload: "payload", Sequence: "seq"},
		Polling:      pollingOf(batchSize),
		AfterPublish: config.Delete,
		Routes:       []config.Route{{Topic: "orders"}},
	}
}

func exec(t *testing.T, db *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// next are the numbers of the rows of the next batch, as the table has them.
func (s *Source) next(t *testing.T) (items []int64, sequences []int64) {
	t.Helper()
	batch, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range batch {
		at, _ := s.memory.ledger.Get(item.Number)
		items, sequences = append(items, item.Number), append(sequences, at.sequence)
	}
	return items, sequences
}

// A read is bounded in bytes by the server, so that it arrives over a slow link too:
// what is behind the bound is not sent.
func TestReadIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	memory := &Memory{}
	source, db := newSource(t, memory, 100)
	exec(t, db, `INSERT INTO outbox (payload) SELECT decode(string_agg(md5(n::text || i::text), ''), 'hex') FROM generate_series(1, 10) n, generate_series(1, 10000) i GROUP BY n`) // 160 kB each
	var read []int64
	for _, want := range []int{4, 4, 2, 0} {
		memory.bytes = 500_000
		_, sequences := source.next(t)
		if len(sequences) != want {
			t.Errorf("read %v, want %d rows", sequences, want)
		}
		read = append(read, sequences...)
	}
	memory.bytes = 1
	source.Rewind()
	if _, sequences := source.next(t); len(sequences) != 1 {
		t.Errorf("read %v, want one row, whatever its size", sequences)
	}
	slices.Sort(read)
	if got := fmt.Sprint(read); got != "[1 2 3 4 5 6 7 8 9 10]" {
		t.Errorf("read %s", got)
	}
}

// What is handed out or owed is left out; what becomes visible late comes in its
// place; and what was acknowledged is settled by the next read, or by another
// source with the same memory.
func TestReadLeavesOutWhatIsInTheLedger(t *testing.T) {
	t.Parallel()
	memory := &Memory{}
	source, db := newSource(t, memory, 3)
	wants := func(want ...int64) []int64 {
		t.Helper()
		numbers, sequences := source.next(t)
		if !slices.Equal(sequences, want) {
			t.Errorf("read %v, want %v", sequences, want)
		}
		return numbers
	}
	left := func() (n int) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM outbox").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	late, err := pgx.Connect(t.Context(), db.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(context.Background())
	exec(t, late, "BEGIN")
	exec(t, late, "INSERT INTO outbox DEFAULT VALUES") // 1
	exec(t, db, "INSERT INTO outbox (payload) SELECT '' FROM generate_series(2, 8)")
	first := wants(2, 3, 4)
	exec(t, late, "COMMIT")
	wants(1, 5, 6)
	source.Acknowledge(first[1:]) // 3 and 4
	source.Rewind()
	wants(1, 2, 5)
	if n := left(); n != 6 {
		t.Errorf("%d rows are left, want all but 3 and 4", n)
	}
	third := wants(6, 7, 8)
	source.Acknowledge(third)
	source = NewSource(source.session, source.table, pollingOf(3), source.encoder, memory, source.watch)
	wants(1, 2, 5)
	if n := left(); n != 3 {
		t.Errorf("%d rows are left, want 1, 2 and 5", n)
	}
}
