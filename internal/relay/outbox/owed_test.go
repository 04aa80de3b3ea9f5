package outbox_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

// What was published and cannot be settled is told with its cure, and never
// published again, not even by another session; everything else goes on.
func TestRowsThatCannotBeSettled(t *testing.T) {
	t.Parallel()
	const rows = 100
	for name, test := range map[string]struct {
		change []func(*config.Outbox)
		// spoil keeps rows from being settled, and returns what ends that where the
		// message does not say it.
		spoil  func(*pipeline) (end func())
		stuck  int
		reason string
		parts  []string
	}{
		"a trigger keeps them": {
			spoil: func(p *pipeline) func() {
				p.exec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
				p.exec(`CREATE TRIGGER "Keep" BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION keep()`)
				return nil
			},
			stuck: rows, reason: "SettleIneffective",
			parts: []string{"rows of public.outbox were published and are still there after they were deleted", `run: ALTER TABLE public.outbox DISABLE TRIGGER "Keep"`},
		},
		"a trigger keeps them as they are": {
			change: []func(*config.Outbox){withMark},
			spoil: func(p *pipeline) func() {
				p.exec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$`)
				p.exec(`CREATE TRIGGER keep BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION keep()`)
				return nil
			},
			stuck: rows, reason: "SettleIneffective",
			parts: []string{"are still there after they were marked", `run: ALTER TABLE public.outbox DISABLE TRIGGER keep`},
		},
		"a rule keeps them": {
			spoil: func(p *pipeline) func() {
				p.exec(`CREATE RULE keep AS ON DELETE TO outbox DO INSTEAD NOTHING`)
				return nil
			},
			stuck: rows, reason: "SettleIneffective", parts: []string{`run: DROP RULE keep ON public.outbox`},
		},
		"another table refers to some": {
			spoil: func(p *pipeline) func() {
				p.exec(`CREATE TABLE child (id uuid REFERENCES outbox (id))`)
				p.exec(`INSERT INTO child SELECT id FROM outbox WHERE seq IN (7, 100)`)
				return nil
			},
			stuck: 2, reason: "SettleRefused",
			parts: []string{"table child refers to them", `run: ALTER TABLE "public"."child" DROP CONSTRAINT "child_id_fkey", or give it ON DELETE CASCADE`},
		},
		"another session has locked one": {
			spoil: func(p *pipeline) func() {
				other, err := pgx.Connect(p.t.Context(), p.db.Config().ConnString())
				if err != nil {
					p.t.Fatal(err)
				}
				p.t.Cleanup(func() { other.Close(context.Background()) })
				if _, err := other.Exec(p.t.Context(), "BEGIN; SELECT * FROM outbox WHERE seq = 100 FOR UPDATE"); err != nil {
					p.t.Fatal(err)
				}
				return func() { other.Close(context.Background()) }
			},
			stuck: 1, reason: "RowsLocked", parts: []string{"another session has locked rows of public.outbox that were published"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, test.change...)
			left := p.settling()
			p.insert("a", 1, rows)
			end := test.spoil(p)
			r := p.start()
			var problem *config.Problem
			told := func() bool {
				state := r.state()
				problem = state.Problem
				return problem != nil && problem.Reason == test.reason
			}
			env.Until(t, "the problem to be told", told)
			for _, part := range test.parts {
				if !strings.Contains(problem.Message, part) {
					t.Errorf("the problem is %q, without %q", problem.Message, part)
				}
			}
			// Others go on, and another session publishes none of them again.
			p.insert("a", rows+1, 10)
			env.Until(t, "the other rows to be settled or published", func() bool { return p.published() == rows+10 })
			p.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1", p.role)
			env.Until(t, "the problem to be told again", told)
			p.insert("a", rows+11, 10)
			env.Until(t, "the last rows to be published", func() bool { return p.published() >= rows+20 })
			if _, cure, told := strings.Cut(problem.Message, "run: "); told {
				end = func() { p.exec(strings.TrimSuffix(cure, ", or give it ON DELETE CASCADE")) }
			}
			end()
			env.Until(t, "all rows to be settled", func() bool { return p.pending(left) == 0 })
			r.awaitPhase(config.Active)
			if diff := cmp.Diff(upTo(rows+20), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

// published counts the records of the topic.
func (p *pipeline) published() (n int64) {
	p.t.Helper()
	ends, err := p.admin.ListEndOffsets(p.t.Context(), p.topic)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, end := range ends[p.topic] {
		n += end.Offset
	}
	return n
}

// One topic of several is not there: the rows of the others go on, the lock stays
// where it is, and those of the one are published once it is there.
func TestOneOfSeveralTopicsIsMissing(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, func(o *config.Outbox) {
		o.Routes = append(o.Routes, config.Route{Topic: o.Routes[0].Topic + "-late"})
	})
	p.grant(p.topic+"-late", kadm.OpWrite, kadm.OpDescribe)
	r := p.start()
	if problem := r.awaitPhase(config.Failing).Problem; problem.Reason != "TopicNotFound" { // without a row for it
		t.Errorf("problem: %+v", problem)
	}
	holder := func() (pid int) {
		if err := p.db.QueryRow(t.Context(), "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := holder()
	for i := range 5 {
		p.exec("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('parcel', 'b', 'Sent', jsonb_build_object('n', $1::int))", i+1)
		p.insert("a", 100*i+1, 100)
		env.Until(t, "the orders to be settled", func() bool { return p.pending("aggregatetype = 'order'") == 0 })
	}
	if problem := r.state().Problem; problem == nil || problem.Reason != "TopicNotFound" || !strings.Contains(problem.Message, p.topic+"-late") {
		t.Errorf("problem: %+v", problem)
	}
	if after := holder(); after != before {
		t.Errorf("the lock was with session %d, and is with %d", before, after)
	}
	p.createTopic(p.topic+"-late", nil)
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	r.awaitPhase(config.Active)
	if diff := cmp.Diff(upTo(5), numbersByKey(t, p.records(p.topic+"-late"))["b"]); diff != "" {
		t.Errorf("parcels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(upTo(500), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if after := holder(); after != before {
		t.Errorf("the lock was with session %d, and is with %d", before, after)
	}
}
