package outbox_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

func withMark(o *config.Outbox) {
	o.AfterPublish, o.Columns.Status, o.Columns.PublishedAt = config.Mark, "status", "published_at"
}

// markColumns makes the table fit for afterPublish Mark.
func (p *pipeline) markColumns() {
	p.t.Helper()
	p.exec("ALTER TABLE outbox ADD COLUMN status text NOT NULL DEFAULT 'PENDING', ADD COLUMN published_at timestamptz")
	p.exec("CREATE INDEX ON outbox (seq) WHERE status IS DISTINCT FROM 'SENT'")
	p.exec("GRANT UPDATE (status, published_at) ON outbox TO " + quote(p.role))
	p.exec("REVOKE DELETE ON outbox FROM " + quote(p.role))
}

// settling makes the table fit for what becomes of settled rows, and returns the
// condition of those that are not settled.
func (p *pipeline) settling() (left string) {
	p.t.Helper()
	if p.config.AfterPublish != config.Mark {
		return "true"
	}
	p.markColumns()
	return "status <> 'SENT'"
}

func TestMark(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, withMark)
	p.markColumns()
	p.insert("a", 1, 500)
	r := p.start()
	env.Until(t, "all rows to be marked", func() bool { return p.pending("status = 'SENT' AND published_at IS NOT NULL") == 500 })
	r.stop()
	p.insert("a", 501, 10)
	r = p.start()
	env.Until(t, "the new rows to be marked", func() bool { return p.pending("status = 'SENT'") == 510 })
	env.Until(t, "the count of pending rows", func() bool { return r.state().PendingRows == 0 })
	if diff := cmp.Diff(upTo(510), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}

	// One that is set back is published again, wherever its number lies.
	p.exec("UPDATE outbox SET status = 'PENDING' WHERE seq = 7")
	env.Until(t, "the row to be published again", func() bool { return p.published() == 511 })
	env.Until(t, "the row to be marked again", func() bool { return p.pending("status = 'SENT'") == 510 })
}

// TestPoisonRow checks onPoison Block: the relay stops in front of the row, says
// which and what to do, and goes on once it is done.
func TestPoisonRow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  []func(*config.Outbox)
		spoil   string // of row 4
		cause   string
		cure    string
		numbers []int
	}{
		"unroutable, corrected": {
			spoil:   "UPDATE outbox SET aggregatetype = 'parcel' WHERE seq = 4",
			cause:   `no route matches aggregate type "parcel": add one to spec.routes`,
			cure:    "UPDATE outbox SET aggregatetype = 'order' WHERE seq = 4",
			numbers: upTo(6),
		},
		"no id, dropped": {
			spoil:   "ALTER TABLE outbox DROP CONSTRAINT outbox_pkey, ALTER id DROP NOT NULL; UPDATE outbox SET id = NULL WHERE seq = 4",
			cause:   "the id is NULL; consumers need it to drop duplicates",
			cure:    "DELETE FROM public.outbox WHERE seq = 4",
			numbers: []int{1, 2, 3, 5, 6},
		},
		"too large, dropped": {
			spoil:   "UPDATE outbox SET payload = to_jsonb((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 60000) n)) WHERE seq = 4",
			cause:   "it makes a record that is larger than topic ",
			cure:    "DELETE FROM public.outbox WHERE seq = 4",
			numbers: []int{1, 2, 3, 5, 6},
		},
		"marked as failed, corrected": {
			change:  []func(*config.Outbox){withMark},
			spoil:   "UPDATE outbox SET headers = '[]' WHERE seq = 4",
			cause:   "the headers column holds JSON, but no object",
			cure:    "UPDATE outbox SET headers = NULL WHERE seq = 4",
			numbers: upTo(6),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, test.change...)
			left := p.settling()
			p.insert("a", 1, 6)
			p.exec(test.spoil)
			r := p.start()
			problem := r.awaitPhase(config.Failing).Problem
			want := fmt.Sprintf("look at it: SELECT %[2]q, %[3]q, %[4]q, octet_length(%[5]q::text) FROM public.outbox WHERE %[1]q = 4; "+
				"then correct it by UPDATE, or drop the event: DELETE FROM public.outbox WHERE %[1]q = 4", "seq", "id", "type", "aggregateid", "payload")
			if problem.Reason != "PoisonRow" || !strings.Contains(problem.Message, test.cause) || !strings.HasSuffix(problem.Message, want) ||
				!strings.HasPrefix(problem.Message, "row 4 of public.outbox can never be published, and the rows behind it wait: ") {
				t.Errorf("got %s: %s\nwant cause %q and end %q", problem.Reason, problem.Message, test.cause, want)
			}
			if r.ready() {
				t.Error("ready although rows wait")
			}
			env.Until(t, "the rows in front to be settled", func() bool { return p.pending(left) == 3 })
			if test.change != nil && p.pending("status = 'FAILED'") != 1 {
				t.Error("the row is not marked as FAILED")
			}
			p.exec(test.cure)
			env.Until(t, "the rows behind to be settled", func() bool { return p.pending(left) == 0 })
			if diff := cmp.Diff(test.numbers, numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
			r.awaitPhase(config.Active)
		})
	}
}

// TestTopicLimit checks that rows are measured by the topic's own limit, also
// where the relay may not read it and learns from the broker's refusal.
func TestTopicLimit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, func(o *config.Outbox) { o.Routes[0].Topic += "-small" })
	limit := "2000"
	p.createTopic(p.topic+"-small", map[string]*string{"max.message.bytes": &limit})
	p.insert("a", 1, 30) // more than fits in one batch of the topic
	p.exec("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', 'a', 'OrderPlaced', jsonb_build_object('x', string_agg(md5(n::text), '')) FROM generate_series(1, 1000) n")
	p.insert("a", 31, 5)
	r := p.start()
	problem := r.awaitPhase(config.Failing).Problem
	if problem.Reason != "PoisonRow" || !strings.HasPrefix(problem.Message, "row 31 of public.outbox") {
		t.Errorf("problem: %+v", problem)
	}
	p.exec("DELETE FROM outbox WHERE seq = 31")
	env.Until(t, "the other rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(35), withoutRepeats(numbersByKey(t, p.records(p.topic+"-small"))["a"])); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestTopicLimitIsRaised checks that a row that is too large goes through once
// its topic allows it, without a restart, where the relay may read the limit.
func TestTopicLimitIsRaised(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.grant(p.topic, kadm.OpDescribeConfigs)
	p.insert("a", 1, 1)
	p.exec("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', 'a', 'OrderPlaced', jsonb_build_object('n', 2, 'x', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 60000) n)))")
	r := p.start()
	want := fmt.Sprintf("larger than topic %q takes, 1048588 bytes after compression: raise max.message.bytes in spec.config of its Topic", p.topic)
	if problem := r.awaitPhase(config.Failing).Problem; problem.Reason != "PoisonRow" || !strings.Contains(problem.Message, want) {
		t.Errorf("problem: %+v", problem)
	}
	limit := "3000000"
	if _, err := p.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, p.topic); err != nil {
		t.Fatal(err)
	}
	env.Until(t, "the row to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(2), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestSizeIsJudgedAfterCompression checks that a row is no poison which is larger than
// its topic allows and smaller once it is compressed.
func TestSizeIsJudgedAfterCompression(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.insert("a", 1, 5)
	p.insertPadded("a", 6, 3, 1_900_000)
	p.insert("a", 9, 5)
	p.start()
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(13), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestLargeRows checks law 5: batches are cut by bytes, and nothing is lost at
// the cuts.
func TestLargeRows(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.exec(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
		SELECT 'order', 'a', 'OrderPlaced', jsonb_build_object('n', n, 'x', repeat('x', 900000)) FROM generate_series(1, 50) n ORDER BY n`)
	r := p.start()
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(50), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	code, metrics := r.get("/metrics")
	batches := regexp.MustCompile(`(?m)^weir_relay_settle_duration_seconds_count (\d+)$`).FindStringSubmatch(metrics)
	if code != http.StatusOK || batches == nil || batches[1] < "3" { // 45 MB in batches of 16 MB
		t.Errorf("GET /metrics: %d, batches %v", code, batches)
	}
}

// TestSequenceWithoutUniqueIndex checks that a row is never settled for its
// number alone where another row may have the same.
func TestSequenceWithoutUniqueIndex(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*config.Outbox){"delete": nil, "mark": {withMark}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, change...)
			left := p.settling()
			p.exec("ALTER TABLE outbox DROP CONSTRAINT outbox_seq_key")
			p.insert("a", 1, 300)
			p.start()
			env.Until(t, "all rows to be settled", func() bool { return p.pending(left) == 0 })
			if diff := cmp.Diff(upTo(300), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}
