package postgres

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/row"
)

func bigEndian(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// TestScanCopies checks that a batch keeps nothing of the driver's memory, and
// tells NULL from empty.
func TestScanCopies(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 2*arenaBytes)
	values := [][]byte{bigEndian(42), []byte("id"), []byte("order"), nil, {}, []byte(large), []byte(`{}`), bigEndian(1_000_000)}
	b := &batch{now: time.Now()}
	sequence, got := b.scan(values)
	for _, value := range values {
		clear(value)
	}
	if sequence != 42 {
		t.Errorf("sequence %d, want 42", sequence)
	}
	want := row.Row{
		ID: []byte("id"), AggregateType: []byte("order"), AggregateID: nil, Type: []byte{},
		Payload: []byte(large), Headers: []byte(`{}`), CreatedAt: time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if b.bytes != len("id"+"order"+large+"{}") {
		t.Errorf("counted %d bytes", b.bytes)
	}
}

func TestAddKeepsRecordsApart(t *testing.T) {
	t.Parallel()
	b := &batch{encoder: row.NewEncoder([]config.Route{{Topic: "orders"}})}
	for range 3 * recordChunk {
		b.add(row.Row{ID: []byte("id"), Payload: []byte("{}"), Headers: []byte(`{"a": "b"}`)})
	}
	seen := map[any]bool{}
	for _, item := range b.items {
		if item.Poison != nil || seen[item.Record] || len(item.Record.Headers) != 4 || item.Record.Headers[0].Key != row.HeaderID {
			t.Fatalf("item %+v, record %+v", item, item.Record)
		}
		seen[item.Record] = true
	}
}

func TestTimeOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value []byte
		want  time.Time
	}{
		"NULL":      {nil, time.Time{}},
		"infinity":  {bigEndian(math.MaxInt64), time.Time{}},
		"-infinity": {bigEndian(math.MinInt64), time.Time{}},
		"2999":      {bigEndian(31_525_459_200_000_000), time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"1999":      {bigEndian(-1), time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
	} {
		if got := timeOf(test.value); !got.Equal(test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestTimesInTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := &batch{now: now}
	for _, test := range []struct{ at, want time.Time }{
		{now.Add(-time.Hour), now.Add(-time.Hour)},
		{now.Add(clockSkew), now.Add(clockSkew)},
		{now.Add(5 * time.Hour), now},
		{time.Time{}, time.Time{}},
	} {
		if got := b.created(test.at); !got.Equal(test.want) {
			t.Errorf("%v becomes %v, want %v", test.at, got, test.want)
		}
	}
	if b.future != 1 {
		t.Errorf("counted %d rows, want 1", b.future)
	}
}

func TestNextBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bytes int
		took  time.Duration
		cut   bool
		want  int
	}{
		{maxBatchBytes, time.Millisecond, false, maxBatchBytes},
		{maxBatchBytes, time.Millisecond, true, maxBatchBytes / 2},
		{maxBatchBytes, 3 * time.Second, false, maxBatchBytes / 2},
		{maxBatchBytes, statementTimeout, true, maxBatchBytes / 8},
		{maxBatchBytes / 2, time.Second, false, maxBatchBytes / 2},
		{maxBatchBytes / 2, time.Millisecond, false, maxBatchBytes},
		{minReadBytes, time.Minute, true, minReadBytes},
	} {
		if got := nextBytes(test.bytes, test.took, test.cut); got != test.want {
			t.Errorf("after %d bytes in %s (cut: %t): %d, want %d", test.bytes, test.took, test.cut, got, test.want)
		}
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	columns := config.Columns{
		ID: "id", AggregateType: "aggregatetype", AggregateID: "aggregateid", Type: "type", Payload: `pay"load`, Sequence: "seq",
	}
	deleting := Table{Name: "public.outbox", columns: columns, uniqueSequence: true}
	columns.CreatedAt, columns.Headers, columns.Status, columns.PublishedAt = "created_at", "headers", "status", "published_at"
	marking := Table{Name: "public.outbox", columns: columns, mark: true, binaryPayload: true}
	for name, test := range map[string]struct{ got, want string }{
		"read": {deleting.read(), `SELECT "seq"::int8, "id"::text, "aggregatetype"::text, "aggregateid"::text, "type"::text, "pay""load"::text, ` +
			`NULL::text, NULL::timestamptz FROM (SELECT *, sum(pg_column_size("pay""load")) OVER (ORDER BY "seq" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS "weir bytes before" ` +
			`FROM public.outbox WHERE "seq" > $3::int8 AND "seq"::int8 NOT IN (SELECT unnest($4::int8[])) ORDER BY "seq" LIMIT $1) AS outbox WHERE coalesce("weir bytes before", 0) <= $2 ORDER BY "seq"`},
		"read, mark": {marking.read(), `SELECT "seq"::int8, "id"::text, "aggregatetype"::text, "aggregateid"::text, "type"::text, "pay""load", ` +
			`"headers"::text, "created_at"::timestamptz FROM (SELECT *, sum(pg_column_size("pay""load")) OVER (ORDER BY "seq" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS "weir bytes before" ` +
			`FROM public.outbox WHERE "seq" > $3::int8 AND "status" IS DISTINCT FROM 'SENT' AND ("seq"::int8, "id"::text) NOT IN (SELECT * FROM unnest($4::int8[], $5::text[])) ORDER BY "seq" LIMIT $1) AS outbox ` +
			`WHERE coalesce("weir bytes before", 0) <= $2 ORDER BY "seq"`},
		"settle": {deleting.settle(), `DELETE FROM public.outbox WHERE "seq" = ANY($1::int8[])`},
		"settle, mark": {marking.settle(), `WITH marked AS (UPDATE public.outbox SET "status" = 'SENT', "published_at" = clock_timestamp() ` +
			`WHERE "seq" = ANY($1::int8[]) AND ("seq"::int8, "id"::text) IN (SELECT * FROM unnest($1::int8[], $2::text[])) ` +
			`RETURNING "status" AS status) SELECT FROM marked WHERE status = 'SENT'`},
		"fail": {marking.fail(), `UPDATE public.outbox SET "status" = 'FAILED' WHERE "seq" = $1 AND "status" IS DISTINCT FROM 'FAILED'`},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
