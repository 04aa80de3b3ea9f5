package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

func TestPublishesARowAsItIs(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.exec(`INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, headers, created_at)
		VALUES ('6f1c1a52-3a8e-4b0e-9d65-1f2f6a3a0b11', 'order', 'o-1', 'OrderPlaced', '{"total":  10.50, "n": 1}', '{"traceparent": "00-ab"}', '2026-01-02 03:04:05.678+00')`)
	r := p.start()
	env.Until(t, "the row to be settled", func() bool { return p.pending("true") == 0 })
	records := p.records(p.topic)
	if len(records) != 1 {
		t.Fatalf("got %d records, want 1", len(records))
	}
	got := records[0]
	if string(got.Key) != "o-1" || string(got.Value) != `{"n": 1, "total": 10.50}` {
		t.Errorf("got key %q and value %q", got.Key, got.Value)
	}
	if want := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC); !got.Timestamp.Equal(want) {
		t.Errorf("got timestamp %v, want %v", got.Timestamp.UTC(), want)
	}
	want := []kgo.RecordHeader{
		{Key: "id", Value: []byte("6f1c1a52-3a8e-4b0e-9d65-1f2f6a3a0b11")},
		{Key: "type", Value: []byte("OrderPlaced")},
		{Key: "aggregatetype", Value: []byte("order")},
		{Key: "traceparent", Value: []byte("00-ab")},
	}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	state := r.awaitPhase(config.Active)
	if state.Name != p.config.Name || state.PublishedRows != 1 || state.LastPublished.IsZero() {
		t.Errorf("state: %+v", state)
	}
	env.Until(t, "the count of pending rows", func() bool { return r.state().PendingRows == 0 })
	if !r.ready() {
		t.Error("an active relay with nothing to do is not ready")
	}
}

// A row without a payload is a record without a value, and the table may be named as
// SQL writes it.
func TestTombstoneOfAQuotedTable(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, func(o *config.Outbox) { o.Table = `"My Shop"."Out""Box"` })
	p.exec(`CREATE SCHEMA "My Shop"; ALTER TABLE outbox SET SCHEMA "My Shop"; ALTER TABLE "My Shop".outbox RENAME TO "Out""Box"; GRANT USAGE ON SCHEMA "My Shop" TO ` + quote(p.role))
	p.exec(`INSERT INTO "My Shop"."Out""Box" (aggregatetype, aggregateid, type, payload) VALUES ('order', 'o-1', 'OrderPlaced', '{}'), ('order', 'o-1', 'OrderDeleted', NULL)`)
	p.start()
	env.Until(t, "the rows to be published", func() bool { return p.published() == 2 })
	records := p.records(p.topic)
	if got := records[0]; string(got.Value) != "{}" || got.Value == nil {
		t.Errorf("the first has the value %q", got.Value)
	}
	if got := records[1]; string(got.Key) != "o-1" || got.Value != nil {
		t.Errorf("the second has key %q and value %q", got.Key, got.Value)
	}
}

// What the role or the database has set is not what decides which time a row
// has: a column without a zone is UTC, and nothing is from the future.
func TestTimesWithoutAZone(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.exec("ALTER TABLE outbox ALTER created_at DROP DEFAULT, ALTER created_at TYPE timestamp USING now()")
	p.exec(fmt.Sprintf("ALTER ROLE %s SET TimeZone = 'America/New_York'; ALTER ROLE %[1]s SET DateStyle = 'German'", quote(p.role)))
	p.exec("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, created_at) VALUES ('order', 'a', 't', '{}', '2026-01-02 03:04:05'), ('order', 'a', 't', '{}', '2999-01-01')")
	before := time.Now()
	r := p.start()
	env.Until(t, "the rows to be settled", func() bool { return p.pending("true") == 0 })
	records := p.records(p.topic)
	if len(records) != 2 {
		t.Fatalf("got %d records, want 2", len(records))
	}
	if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !records[0].Timestamp.Equal(want) {
		t.Errorf("got timestamp %v, want %v", records[0].Timestamp.UTC(), want)
	}
	if got := records[1].Timestamp; got.Before(before.Truncate(time.Millisecond)) || got.After(time.Now()) {
		t.Errorf("a time in the future became %v, want about %v", got, before)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "\nweir_relay_future_rows_total 1\n") {
		t.Error("the row from the future is not counted")
	}
	p.exec("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, created_at) VALUES ('parcel', 'a', 't', '{}', now() AT TIME ZONE 'UTC' - interval '10 s')")
	r.awaitPhase(config.Failing) // no route matches: it waits
	env.Until(t, "the age of the row that waits", func() bool {
		age := r.state().OldestPendingSeconds
		return age >= 10 && age < 300
	})
}

// A domain is what it is a domain over, in each column.
func TestDomains(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.exec(`CREATE DOMAIN bytes AS bytea; CREATE DOMAIN event AS bytes;
		CREATE DOMAIN number AS bigint NOT NULL; CREATE DOMAIN at AS timestamptz; CREATE DOMAIN extra AS jsonb;
		ALTER TABLE outbox ALTER seq DROP IDENTITY; ALTER TABLE outbox ALTER seq DROP NOT NULL;
		ALTER TABLE outbox ALTER payload TYPE event USING '', ALTER seq TYPE number, ALTER created_at TYPE at, ALTER headers TYPE extra`)
	p.exec(`INSERT INTO outbox (seq, aggregatetype, aggregateid, type, payload, headers) VALUES (1, 'order', 'a', 't', '\x00ff', '{"k": "v"}')`)
	p.start()
	env.Until(t, "the row to be settled", func() bool { return p.pending("true") == 0 })
	records := p.records(p.topic)
	if len(records) != 1 || string(records[0].Value) != "\x00\xff" || len(records[0].Headers) != 4 || time.Since(records[0].Timestamp) > time.Minute {
		t.Errorf("got %+v", records)
	}
}

// TestConcurrentWriters checks that exactly what was committed arrives, once,
// in order per key: eight writers at once, some of whose transactions roll back.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	const writers, keys, transactions = 8, 10, 100
	p.exec("CREATE TABLE counter (key text PRIMARY KEY, n int NOT NULL DEFAULT 0)")
	for key := range keys {
		p.exec("INSERT INTO counter (key) VALUES ($1)", fmt.Sprint(key))
	}
	r := p.start()
	r.awaitPhase(config.Active)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			if err := writeOrders(t.Context(), p.dbURI, keys, transactions); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })

	want := map[string][]int{}
	rows, err := p.db.Query(t.Context(), "SELECT key, n FROM counter WHERE n > 0")
	if err != nil {
		t.Fatal(err)
	}
	var key string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error {
		want[key] = upTo(n)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, numbersByKey(t, p.records(p.topic))); diff != "" {
		t.Errorf("numbers by key (-want +got):\n%s", diff)
	}
}

var errRollback = errors.New("rolled back on purpose")

// writeOrders runs transactions that each write one to three events of one
// aggregate, whose row they lock, as an application does. A tenth rolls back.
func writeOrders(ctx context.Context, uri string, keys, transactions int) error {
	db, err := pgx.Connect(ctx, uri)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	for range transactions {
		err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			key := fmt.Sprint(rand.IntN(keys))
			for range 1 + rand.IntN(3) {
				_, err := tx.Exec(ctx, `WITH next AS (UPDATE counter SET n = n + 1 WHERE key = $1 RETURNING n)
					INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
					SELECT 'order', $1, 'OrderPlaced', jsonb_build_object('n', n) FROM next`, key)
				if err != nil {
					return err
				}
			}
			if rand.IntN(10) == 0 {
				return errRollback
			}
			return nil
		})
		if err != nil && !errors.Is(err, errRollback) {
			return err
		}
	}
	return nil
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i + 1
	}
	return numbers
}

// withoutRepeats keeps the first of each number.
func withoutRepeats(numbers []int) []int {
	var first []int
	for _, n := range numbers {
		if !slices.Contains(first, n) {
			first = append(first, n)
		}
	}
	return first
}
