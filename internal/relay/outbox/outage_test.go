package outbox_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/test/env"
)

// newGatedPipeline is a pipeline whose relay reaches its brokers through a gate.
func newGatedPipeline(t *testing.T) (*pipeline, *env.Gate) {
	t.Helper()
	gated, gate := env.SharedGate(t)
	return newPipeline(t, func(o *config.Outbox) { o.Kafka.BootstrapServers = gated.Bootstrap }), gate
}

// TestBrokerOutage checks that rows wait while the brokers are away, that the
// relay says so within seconds, and that all arrive afterwards, each once.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	p, gate := newGatedPipeline(t)
	r := p.start()
	p.insert("a", 1, 100)
	env.Until(t, "the first rows to be settled", func() bool { return p.pending("true") == 0 })

	gate.Cut()
	p.insert("a", 101, 300)
	state := r.awaitPhase(config.Failing)
	if state.Problem.Reason != kafkasink.KafkaUnreachable || !strings.Contains(state.Problem.Message, gate.Bootstrap[0]) {
		t.Errorf("problem: %+v", state.Problem)
	}
	if r.ready() {
		t.Error("ready although nothing is published")
	}
	p.insert("a", 401, 100)
	env.Until(t, "the waiting rows to be counted", func() bool { return r.state().PendingRows == 400 })

	gate.Reopen(t)
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(map[string][]int{"a": upTo(500)}, numbersByKey(t, p.records(p.topic))); diff != "" {
		t.Errorf("numbers by key (-want +got):\n%s", diff)
	}
	r.awaitPhase(config.Active)
	if !r.ready() {
		t.Error("not ready although all is well again")
	}
	r.stop()
}

// TestStopDuringOutage checks that a relay stops in time without its brokers,
// and that what was in flight stays in the table.
func TestStopDuringOutage(t *testing.T) {
	t.Parallel()
	p, gate := newGatedPipeline(t)
	r := p.start()
	r.awaitPhase(config.Active)
	gate.Cut()
	p.insert("a", 1, 10)
	r.awaitPhase(config.Failing)
	start := time.Now()
	r.stop()
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if n := p.pending("true"); n != 10 {
		t.Errorf("%d of 10 rows are left", n)
	}
	gate.Reopen(t)
	p.start()
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(10), withoutRepeats(numbersByKey(t, p.records(p.topic))["a"])); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestStartDuringOutage checks that a relay that starts while the brokers are
// away counts the rows that wait.
func TestStartDuringOutage(t *testing.T) {
	t.Parallel()
	p, gate := newGatedPipeline(t)
	gate.Cut()
	p.insert("a", 1, 10)
	r := p.start()
	if problem := r.awaitPhase(config.Failing).Problem; problem.Reason != kafkasink.KafkaUnreachable {
		t.Errorf("problem: %+v", problem)
	}
	env.Until(t, "the waiting rows to be counted", func() bool { return r.state().PendingRows == 10 })
	gate.Reopen(t)
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	env.Until(t, "no rows to be counted", func() bool { return r.state().PendingRows == 0 })
	r.stop()
}

// TestDatabaseOutage checks that a lost session is found, and another one opened.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	r := p.start()
	r.awaitPhase(config.Active)
	for i := range 5 {
		p.insert("a", 1+100*i, 100)
		p.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = left($1, 63)", "weir:"+p.config.Name)
	}
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(500), withoutRepeats(numbersByKey(t, p.records(p.topic))["a"])); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	r.stop()
}

// TestTopicRecreated checks that rows wait while their topic is gone, and go
// to the new one.
func TestTopicRecreated(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	r := p.start()
	p.insert("a", 1, 10)
	env.Until(t, "the first rows to be settled", func() bool { return p.pending("true") == 0 })
	if _, err := p.admin.DeleteTopic(t.Context(), p.topic); err != nil {
		t.Fatal(err)
	}
	p.insert("a", 11, 10)
	if problem := r.awaitPhase(config.Failing).Problem; problem.Reason != kafkasink.TopicNotFound {
		t.Errorf("problem: %+v", problem)
	}
	// A producer that knew the topic is of no use: another one waits for it.
	env.Until(t, "another producer", func() bool { return strings.Contains(r.logs.String(), "cannot relay") })
	p.createTopic(p.topic, nil)
	env.Until(t, "the other rows to be settled", func() bool { return p.pending("true") == 0 })
	want := upTo(20)[10:]
	if diff := cmp.Diff(want, withoutRepeats(numbersByKey(t, p.records(p.topic))["a"])); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestKill kills the relay again and again under load: nothing is lost, and
// what is published twice keeps its order per key.
func TestKill(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.insert("a", 1, 5000)
	p.insert("b", 1, 5000)
	for i := range 5 {
		left := p.pending("true")
		r := p.start()
		env.Until(t, "some rows to be settled", func() bool {
			now := p.pending("true")
			return now < left-i*37 || now == 0
		})
		r.kill()
	}
	r := p.start()
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	r.stop()
	numbers := numbersByKey(t, p.records(p.topic))
	for _, key := range []string{"a", "b"} {
		if diff := cmp.Diff(upTo(5000), withoutRepeats(numbers[key])); diff != "" {
			t.Errorf("numbers of key %s (-want +got):\n%s", key, diff)
		}
	}
	t.Logf("%d duplicates of 10000 after 5 kills", len(numbers["a"])+len(numbers["b"])-10000)
}

// TestOneRelayIsActive checks law 6: of two relays one publishes, and the
// other takes over when the first is killed.
func TestOneRelayIsActive(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	first := p.start()
	first.awaitPhase(config.Active)
	second := p.start()
	second.awaitPhase(config.Standby)
	if !second.ready() {
		t.Error("a standby in order is not ready")
	}
	p.insert("a", 1, 1000)
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if n := second.state().PublishedRows; n != 0 {
		t.Errorf("the standby published %d rows", n)
	}
	env.Until(t, "the standby not to count", func() bool { return second.state().PendingRows == -1 })
	first.kill()
	p.insert("a", 1001, 1000)
	second.awaitPhase(config.Active)
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(2000), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestStoppedRelayIsFenced checks law 6 where no connection breaks: a relay that
// is stopped by SIGSTOP loses its session on the server, another takes over,
// and when the first wakes up it publishes and settles nothing, and stands by.
func TestStoppedRelayIsFenced(t *testing.T) {
	t.Parallel()
	const rows = 1000
	for name, stop := range map[string]func(p *pipeline, first *process){
		// idle_session_timeout ends the session.
		"between two reads": func(p *pipeline, first *process) {
			p.awaitLockHolder("state = 'idle' AND state_change < now() - interval '500 ms'")
			first.signal(syscall.SIGSTOP)
			p.insert("a", 1, rows)
		},
		// The rows are in the relay's socket when it wakes up.
		"in the middle of a read": func(p *pipeline, first *process) {
			p.stopReading(first, func() { p.insert("a", 1, rows) })
		},
		// The rows do not fit in there, and the server is stuck sending them:
		// tcp_user_timeout ends the session.
		"in the middle of a large read": func(p *pipeline, first *process) {
			p.stopReading(first, func() { p.insertPadded("a", 1, rows, 16<<10) })
			p.awaitLockHolder("wait_event = 'ClientWrite'")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, func(o *config.Outbox) {
				o.Polling = config.Polling{MaxInterval: config.Duration(2 * time.Second), BatchSize: rows}
			})
			first := p.start()
			first.awaitPhase(config.Active)
			second := p.start()
			second.awaitPhase(config.Standby)
			stop(p, first)
			second.awaitPhase(config.Active)
			env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
			first.signal(syscall.SIGCONT)
			first.awaitPhase(config.Standby)
			p.insert("a", 1+rows, rows)
			env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
			if diff := cmp.Diff(upTo(2*rows), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
			if n := first.state().PublishedRows; n != 0 {
				t.Errorf("the stopped relay published %d rows", n)
			}
		})
	}
}

// stopReading stops a relay while its read is under way, which then finds the
// rows that insert makes.
func (p *pipeline) stopReading(relay *process, insert func()) {
	p.t.Helper()
	p.exec("BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
	p.awaitLockHolder("wait_event_type = 'Lock'")
	relay.signal(syscall.SIGSTOP)
	insert()
	p.exec("COMMIT")
}

// awaitLockHolder returns when the session of the active relay is in a state of
// pg_stat_activity.
func (p *pipeline) awaitLockHolder(state string) {
	p.t.Helper()
	env.Until(p.t, "the active relay's session to have "+state, func() (is bool) {
		err := p.db.QueryRow(p.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity JOIN pg_locks USING (pid)
			WHERE locktype = 'advisory' AND granted AND datname = current_database() AND `+state+`)`).Scan(&is)
		if err != nil {
			p.t.Fatal(err)
		}
		return is
	})
}

// TestRollingUpdate checks law 4: a relay that is told to stop under load, while
// another stands by, leaves no duplicate behind.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.insert("a", 1, 10_000)
	old := p.start()
	for range 4 {
		old.awaitPhase(config.Active)
		successor := p.start()
		successor.awaitPhase(config.Standby)
		left := p.pending("true")
		env.Until(t, "some rows to be settled", func() bool { return p.pending("true") < max(left, 1) })
		old.stop()
		old = successor
	}
	env.Until(t, "all rows to be settled", func() bool { return p.pending("true") == 0 })
	if diff := cmp.Diff(upTo(10_000), numbersByKey(t, p.records(p.topic))["a"]); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// Two relays on one table: the second says who publishes it, for as long as that
// lasts, and takes over then.
func TestTableIsTaken(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	first := p.start()
	first.awaitPhase(config.Active)
	owner := p.config.Name
	p.config.Name = "finance/other"
	p.writeConfig()
	second := p.start()
	problem := second.awaitPhase(config.Failing).Problem
	want := `another relay holds the lock of public.outbox in database "` + p.db.Config().Database + `": OutboxRelay ` + owner + ` publishes that table; delete one of the two`
	if problem.Reason != "TableTaken" || !strings.Contains(problem.Message, want) || second.ready() {
		t.Errorf("got %s: %s, ready %v\nwant TableTaken: %s…", problem.Reason, problem.Message, second.ready(), want)
	}
	first.stop()
	second.awaitPhase(config.Active)
}
