package relay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// memorySource is an outbox in memory: numbers in order, settled by removal.
type memorySource struct {
	mu      sync.Mutex
	rows    []int
	poison  map[int]error
	batch   int
	read    []int
	settled []int
	blocked []int

	keepErr, settleErr error
}

func (s *memorySource) Next(ctx context.Context) ([]Item, error) {
	if len(s.rows) == 0 {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = slices.Clone(s.rows[:min(len(s.rows), s.batch)])
	var items []Item
	for _, n := range s.read {
		if err := s.poison[n]; err != nil {
			items = append(items, Item{Poison: err})
			continue
		}
		items = append(items, Item{Record: &kgo.Record{Topic: "orders", Value: []byte(strconv.Itoa(n))}})
	}
	return items, nil
}

// correct cures a poison row.
func (s *memorySource) correct(row int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.poison, row)
}

func (s *memorySource) Settle(ctx context.Context, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.settleErr, ctx.Err()); err != nil {
		return err
	}
	s.settled = append(s.settled, s.read[:n]...)
	s.rows = slices.DeleteFunc(s.rows, func(r int) bool { return slices.Contains(s.read[:n], r) })
	return nil
}

func (s *memorySource) settledRows() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.settled)
}

func (s *memorySource) blockedRows() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.blocked)
}

func (s *memorySource) Keep(context.Context) error { return s.keepErr }

func (s *memorySource) Block(_ context.Context, i int, cause error) *Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = append(s.blocked, s.read[i])
	return &Problem{Reason: "PoisonRow", Message: cause.Error(), Err: cause}
}

var (
	errTooLarge = errors.New("too large")
	errNoTopic  = errors.New("no such topic")
)

// memorySink is a broker in memory. Each record is answered after delay, in
// order, by what verdict says.
type memorySink struct {
	delay   time.Duration
	verdict func(value, alone string) error // alone is value if it was in flight by itself

	mu       sync.Mutex
	inFlight int
	log      []string // acknowledged values
	away     bool     // answers nothing until ctx ends
}

func (s *memorySink) Refuse(r *kgo.Record) error {
	if len(r.Value) > 10 {
		return errTooLarge
	}
	return nil
}

func (s *memorySink) Produce(ctx context.Context, r *kgo.Record, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	go func() {
		err := s.answer(ctx, string(r.Value))
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
		done(err)
	}()
}

func (s *memorySink) answer(ctx context.Context, value string) error {
	n, _ := strconv.Atoi(value)
	select {
	case <-time.After(s.delay + time.Duration(n)*time.Microsecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	away, alone := s.away, ""
	if s.inFlight == 1 {
		alone = value
	}
	s.mu.Unlock()
	if away {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.verdict != nil {
		if err := s.verdict(value, alone); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, value)
	return nil
}

func (s *memorySink) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *memorySink) TooLarge(err error) bool { return errors.Is(err, errTooLarge) }

func (s *memorySink) Explain(_ *kgo.Record, err error) *Problem {
	return &Problem{Reason: "Refused", Message: err.Error(), Err: err, Broken: errors.Is(err, kgo.ErrClientClosed)}
}

func (s *memorySink) Diagnose(context.Context, *kgo.Record) *Problem {
	return &Problem{Reason: "Away", Message: "the brokers are away"}
}

// run starts an engine in the bubble of a synctest; stop ends it.
func run(t *testing.T, source Source, sink Sink) (health *Health, stop func() error) {
	t.Helper()
	health = NewHealth()
	engine := &Engine{
		Source: source, Sink: sink, Report: health.Report,
		Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	}
	health.Enter("Active")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	return health, func() error { cancel(); return <-ended }
}

// pass lets time go by, and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func numbers(from, to int) []int {
	var n []int
	for i := from; i <= to; i++ {
		n = append(n, i)
	}
	return n
}

func TestPublishesInOrderAndSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 25), batch: 10}
		sink := &memorySink{delay: time.Millisecond}
		health, stop := run(t, source, sink)
		pass(time.Second)
		if diff := cmp.Diff(numbers(1, 25), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if err := health.Ready(); err != nil {
			t.Errorf("nothing to do, and not ready: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Law 1: nothing is settled before its acknowledgement.
func TestSettlesOnlyWhatWasAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 3), batch: 10}
		sink := &memorySink{delay: time.Second}
		_, stop := run(t, source, sink)
		pass(999 * time.Millisecond)
		if len(source.settledRows()) > 0 {
			t.Errorf("settled %v before any acknowledgement", source.settledRows())
		}
		pass(2 * time.Millisecond)
		if diff := cmp.Diff(numbers(1, 3), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		stop()
	})
}

// Law 2: a record that nobody judged is not published.
func TestZeroOutcomeMeansTryAgain(t *testing.T) {
	t.Parallel()
	f := newFlight(3, func() {})
	f.judge(0, nil)
	f.judge(2, nil)
	if n := f.acknowledged(); n != 1 {
		t.Errorf("acknowledged prefix is %d, want 1: record 1 was never judged", n)
	}
	if _, err := f.failure(); err != nil {
		t.Errorf("failure %v, although none was reported", err)
	}
	if *new(outcome) != tryAgain {
		t.Error("the zero outcome is not tryAgain")
	}
}

// Law 3: behind a record that fails nothing is settled, and nothing published
// that is not on its way already; it is tried again until it succeeds.
func TestStopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 20), batch: 10}
		var healed atomic.Bool
		sink := &memorySink{delay: time.Millisecond, verdict: func(value, _ string) error {
			if value == "5" && !healed.Load() {
				return errNoTopic
			}
			return nil
		}}
		health, stop := run(t, source, sink)
		pass(10 * time.Second)
		if diff := cmp.Diff(numbers(1, 4), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if got := sink.values(); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
			t.Errorf("published %v", got)
		}
		if phase, problem := health.State(); phase != "Failing" || problem.Reason != "Refused" {
			t.Errorf("phase %s, problem %+v", phase, problem)
		}
		healed.Store(true)
		pass(2 * time.Second)
		if diff := cmp.Diff(numbers(1, 20), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if err := health.Ready(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// Law 3: what was acknowledged behind a gap is not settled.
func TestSettlesAPrefix(t *testing.T) {
	t.Parallel()
	f := newFlight(4, func() {})
	f.judge(3, nil)
	f.judge(0, nil)
	f.judge(1, errNoTopic)
	f.judge(2, nil)
	if n := f.acknowledged(); n != 1 {
		t.Errorf("acknowledged prefix is %d, want 1", n)
	}
}

// Law 4: stopping waits for what is in flight and settles it.
func TestStopSettlesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 30), batch: 10}
		sink := &memorySink{delay: 3 * time.Second}
		_, stop := run(t, source, sink)
		pass(time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(numbers(1, 10), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if n := len(sink.values()); n != 10 {
			t.Errorf("published %d records, want the batch in flight and no more", n)
		}
	})
}

// Law 4: stopping does not wait for ever.
func TestStopGivesUpAfterDrainTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 30), batch: 10}
		sink := &memorySink{away: true}
		_, stop := run(t, source, sink)
		pass(10 * time.Second)
		start := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != DrainTimeout {
			t.Errorf("stopping took %v, want %v", took, DrainTimeout)
		}
		if len(source.settledRows()) > 0 {
			t.Errorf("settled %v without an acknowledgement", source.settledRows())
		}
	})
}

// Law 6: losing the session ends the run, also while records are in flight.
func TestLostSessionEndsTheRun(t *testing.T) {
	lost := errors.New("session lost")
	for name, source := range map[string]*memorySource{
		"in flight": {rows: numbers(1, 3), batch: 10, keepErr: lost},
		"settling":  {rows: numbers(1, 3), batch: 10, settleErr: lost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &memorySink{delay: 5 * time.Second}
				_, stop := run(t, source, sink)
				pass(6 * time.Second)
				if err := stop(); !errors.Is(err, lost) {
					t.Errorf("got %v, want %v", err, lost)
				}
				if len(source.settledRows()) > 0 {
					t.Errorf("settled %v without a session", source.settledRows())
				}
			})
		})
	}
}

// Law 8: not ready while nothing is acknowledged, ready once something is.
func TestStallIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 3), batch: 10}
		sink := &memorySink{delay: 10 * time.Second}
		health, stop := run(t, source, sink)
		pass(time.Second)
		if err := health.Ready(); err != nil {
			t.Errorf("not ready after a second: %v", err)
		}
		pass(2500 * time.Millisecond)
		if err := health.Ready(); err == nil || err.Error() != "Away: the brokers are away" {
			t.Errorf("readiness while nothing is acknowledged: %v", err)
		}
		pass(10 * time.Second)
		if err := health.Ready(); err != nil {
			t.Errorf("not ready although all is published: %v", err)
		}
		stop()
	})
}

func TestPoisonBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 6), batch: 10, poison: map[int]error{4: errors.New("no route")}}
		sink := &memorySink{}
		health, stop := run(t, source, sink)
		pass(3 * time.Second)
		if diff := cmp.Diff(numbers(1, 3), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if err := health.Ready(); err == nil || err.Error() != "PoisonRow: no route" {
			t.Errorf("readiness: %v", err)
		}
		source.correct(4)
		pass(2 * time.Second)
		if diff := cmp.Diff(numbers(1, 6), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		stop()
	})
}

// A record that is known to be too large blocks before anything behind it is
// produced.
func TestRecordTooLargeIsNotProduced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: []int{1, 2, 12345678901, 4}, batch: 10}
		sink := &memorySink{}
		_, stop := run(t, source, sink)
		pass(3 * time.Second)
		if got := sink.values(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("published %v, want 1 and 2", got)
		}
		if len(source.blockedRows()) == 0 || source.blockedRows()[0] != 12345678901 {
			t.Errorf("blocked %v", source.blockedRows())
		}
		stop()
	})
}

// A batch that the broker refuses as too large is sent again one by one, until
// the record that is to blame is refused alone.
func TestBatchRefusedAsTooLargeIsSentOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 10), batch: 10}
		sink := &memorySink{delay: time.Millisecond, verdict: func(value, alone string) error {
			if value == "7" || alone == "" {
				return errTooLarge
			}
			return nil
		}}
		_, stop := run(t, source, sink)
		pass(time.Second)
		if diff := cmp.Diff(numbers(1, 6), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if len(source.blockedRows()) == 0 || source.blockedRows()[0] != 7 {
			t.Errorf("blocked %v, want 7", source.blockedRows())
		}
		stop()
	})
}

func TestBrokenSinkEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 3), batch: 10}
		sink := &memorySink{verdict: func(string, string) error { return kgo.ErrClientClosed }}
		_, stop := run(t, source, sink)
		pass(time.Second)
		if err := stop(); !errors.Is(err, kgo.ErrClientClosed) {
			t.Errorf("got %v", err)
		}
	})
}
