package retry

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

// drain tells the worker that a group has no policy any more.
func (p *platform) drain(group, to string) {
	p.tb.Helper()
	for i, g := range p.groups {
		if g.Group == group {
			p.groups[i] = config.RetryGroup{Name: g.Name, Group: group, Waits: g.Waits, Draining: to, MaxAttempts: 1}
		}
	}
	p.apply()
}

func waiting(n int64) func(config.GroupState) bool {
	return func(state config.GroupState) bool { return state.Waiting != nil && *state.Waiting == n }
}

// TestDrainToRetry checks that what waits comes back when it is due after its
// group has lost its policy, and that what fails then is a dead letter.
func TestDrainToRetry(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	const delay = 5 * time.Second
	group := p.group([]time.Duration{delay})
	w, _ := p.active()
	if state := w.state().Groups[config.GroupFile(group)]; state.Waiting != nil {
		t.Errorf("%d records are said to wait in a group with a policy", *state.Waiting)
	}
	failed := p.produce(numbered(group, 3, 3)...)
	env.Until(t, "the records to wait", func() bool { return w.state().Moved[toWait] == 3 })
	p.drain(group, config.ToRetry)
	p.awaitGroup(w, group, "the records to be counted", waiting(3))
	p.produce(numbered(group, 1, 1)...)
	dead := p.read(deadletter.DLT(group), 1)[0]
	if reason, attempt := header(t, dead, deadletter.ReasonHeader), header(t, dead, deadletter.Attempt); reason != "Drained" || attempt != "1" {
		t.Errorf("reason %s, attempt %s", reason, attempt)
	}
	for _, r := range p.read(deadletter.Retry(group), 3) {
		if waited := r.Timestamp.Sub(failed[0].Timestamp); waited < delay {
			t.Errorf("a record waited %s", waited)
		}
	}
	p.awaitGroup(w, group, "nothing to wait", waiting(0))
}

// TestDrainToDeadLetters checks that what waits for a group that is gone becomes
// a dead letter.
func TestDrainToDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{time.Second})
	w, _ := p.active()
	p.produce(numbered(group, 1, 1)...)
	env.Until(t, "the record to wait", func() bool { return w.state().Moved[toWait] == 1 })
	p.drain(group, config.ToDeadLetters)
	dead := p.read(deadletter.DLT(group), 1)[0]
	for key, want := range map[string]string{
		deadletter.ReasonHeader: "Drained", deadletter.Attempt: "1", deadletter.Group: group, deadletter.ErrorClass: "Timeout",
	} {
		if got := header(t, dead, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	p.awaitGroup(w, group, "nothing to wait", waiting(0))
	if n := p.count(deadletter.Retry(group)); n != 0 {
		t.Errorf("%d records in the retry topic", n)
	}
}

// TestDrainTransactions checks that a lane counts as drained although the end of
// a transaction lies behind its last record.
func TestDrainTransactions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	w, _ := p.active()
	service := p.kafka.Client(t, p.kafka.Admin, kgo.TransactionalID(env.Unique("service")))
	for _, outcome := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := service.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := service.ProduceSync(t.Context(), numbered(group, 3, 30)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := service.EndTransaction(t.Context(), outcome); err != nil {
			t.Fatal(err)
		}
	}
	p.read(deadletter.Retry(group), 30)
	if n := p.count(deadletter.Failed(group)); n < 61 {
		t.Fatalf("the failed topic ends at %d: it has no ends of transactions", n)
	}
	p.drain(group, config.ToRetry)
	p.awaitGroup(w, group, "nothing to wait", waiting(0))
	if n := p.count(deadletter.Retry(group)); n != 30 {
		t.Errorf("%d records came back", n)
	}
}
