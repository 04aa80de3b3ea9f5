package relay

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// memorySource is an outbox in memory: numbers in order, settled by removal.
type memorySource struct {
	mu      sync.Mutex
	rows    []int
	poison  map[int]error
	topic   func(row int) string // nil means orders for all
	batch   int
	ledger  Ledger[int]
	settled []int
	blocked []int
	reads   int

	keepErr, settleErr error
	trouble            *Problem
}

func (s *memorySource) Next(ctx context.Context) ([]Item, error) {
	if err := s.Settle(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if items := s.take(); len(items) > 0 {
		return items, nil
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		return nil, nil
	}
	return s.take(), nil
}

func (s *memorySource) take() (items []Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	known := map[int]bool{}
	for _, row := range s.ledger.All() {
		known[row] = true
	}
	for _, row := range s.rows {
		if known[row] || len(items) == s.batch {
			continue
		}
		item := Item{Number: s.ledger.HandOut(row), Poison: s.poison[row]}
		if item.Poison == nil || s.topic != nil {
			item.Record = &kgo.Record{Topic: "orders", Value: []byte(strconv.Itoa(row))}
			if s.topic != nil {
				item.Record.Topic = s.topic(row)
			}
		}
		items = append(items, item)
	}
	return items
}

func (s *memorySource) Acknowledge(numbers []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range numbers {
		s.ledger.Acknowledge(number)
	}
}

func (s *memorySource) Rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.Rewind()
}

// correct cures a poison row.
func (s *memorySource) correct(row int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.poison, row)
}

func (s *memorySource) Settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.settleErr, ctx.Err()); err != nil {
		return err
	}
	for number, row := range s.ledger.Owed() {
		s.settled = append(s.settled, row)
		s.rows = slices.DeleteFunc(s.rows, func(r int) bool { return r == row })
		s.ledger.Settled(number)
	}
	return nil
}

func (s *memorySource) Trouble() *Problem { return s.trouble }

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

func (s *memorySource) Block(_ context.Context, number int64, cause error) *Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, _ := s.ledger.Get(number)
	s.blocked = append(s.blocked, row)
	return &Problem{Reason: "PoisonRow", Message: cause.Error(), Err: cause}
}

var (
	errTooLarge = errors.New("too large")
	errNoTopic  = errors.New("no such topic")
)

// memorySink is a broker in memory. A flight is answered after delay, each topic in
// order by what verdict says, until one fails.
type memorySink struct {
	delay   time.Duration
	verdict func(value string, alone bool) error // alone in its flight

	mu      sync.Mutex
	log     []string // acknowledged values
	flights []int    // how many records each had
	alone   string   // the value of a record that must be sent by itself
	away    bool     // answers nothing until ctx ends
}

func (s *memorySink) Refuse(r *kgo.Record) error {
	if len(r.Value) > 10 {
		return errTooLarge
	}
	return nil
}

func (s *memorySink) Alone(r *kgo.Record) bool { return string(r.Value) == s.alone }

func (s *memorySink) Send(ctx context.Context, records []*kgo.Record, done func(int, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flights = append(s.flights, len(records))
	go func() {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
		}
		failed := map[string]error{}
		for i, r := range records {
			if failed[r.Topic] == nil {
				failed[r.Topic] = s.answer(ctx, string(r.Value), len(records) == 1)
			}
			done(i, failed[r.Topic])
		}
	}()
}

func (s *memorySink) answer(ctx context.Context, value string, alone bool) error {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
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

func (s *memorySink) Judge(_ *kgo.Record, err error) (Verdict, *Problem) {
	problem := &Problem{Reason: "Refused", Message: err.Error(), Err: err}
	switch {
	case errors.Is(err, errTooLarge):
		return Refused, problem
	case errors.Is(err, kgo.ErrClientClosed):
		return Broken, problem
	}
	return Again, problem
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

func count(items iter.Seq2[int64, int]) (n int) {
	for range items {
		n++
	}
	return n
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

// Law 2: a record of which nobody said anything is not published.
func TestZeroOutcomeMeansTryAgain(t *testing.T) {
	t.Parallel()
	f, _ := newFlight(t.Context(), []Item{{Number: 1}, {Number: 2}, {Number: 3}})
	f.judge(0, nil)
	f.judge(2, nil)
	if got := f.acknowledged(); !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("acknowledged are %v, though nobody said anything of 2", got)
	}
	if failures := f.failures(); len(failures) != 1 || failures[0].item.Number != 2 || failures[0].err != nil {
		t.Errorf("failures: %+v", failures)
	}
	if f.landed.Err() != nil {
		t.Error("it has landed without the outcome of 2")
	}
}

// Law 3: behind a record that fails nothing is settled, and nothing published
// that is not on its way already; it is tried again until it succeeds.
func TestStopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 20), batch: 10}
		var healed atomic.Bool
		sink := &memorySink{delay: time.Millisecond, verdict: func(value string, _ bool) error {
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

// What was acknowledged is settled and never published again, also behind a record of
// another topic that fails; and those of other topics go on.
func TestOtherTopicsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 100), batch: 10, topic: func(row int) string {
			if row%5 == 0 {
				return "missing"
			}
			return "orders"
		}}
		var healed atomic.Bool
		sink := &memorySink{delay: time.Millisecond, verdict: func(value string, _ bool) error {
			if n, _ := strconv.Atoi(value); n%5 == 0 && !healed.Load() {
				return errNoTopic
			}
			return nil
		}}
		health, stop := run(t, source, sink)
		pass(10 * time.Second)
		var others, missing []int
		for _, n := range numbers(1, 100) {
			if n%5 == 0 {
				missing = append(missing, n)
			} else {
				others = append(others, n)
			}
		}
		if diff := cmp.Diff(others, source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if phase, problem := health.State(); phase != "Failing" || problem.Message != errNoTopic.Error() {
			t.Errorf("phase %s, problem %+v", phase, problem)
		}
		healed.Store(true)
		pass(2 * time.Second)
		if diff := cmp.Diff(append(others, missing...), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if got := len(sink.values()); got != 100 {
			t.Errorf("%d records were published for 100 rows", got)
		}
		if err := health.Ready(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// Law 5: what waits for a topic is bounded; then nothing more is read.
func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 2*mostAside), batch: 1000}
		sink := &memorySink{delay: time.Millisecond, verdict: func(string, bool) error { return errNoTopic }}
		_, stop := run(t, source, sink)
		pass(10 * time.Second)
		source.mu.Lock()
		if out, owed := count(source.ledger.Out()), count(source.ledger.Owed()); out > mostAside+1000 || owed > 0 {
			t.Errorf("%d are read, %d owed", out, owed)
		}
		source.mu.Unlock()
		stop()
	})
}

// While a flight is in the air the next one is read, and the last one settled.
func TestReadsAndSettlesWhileAFlightIsInTheAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 30), batch: 10}
		sink := &memorySink{delay: time.Second}
		_, stop := run(t, source, sink)
		pass(500 * time.Millisecond)
		source.mu.Lock()
		if out := count(source.ledger.Out()); out != 20 {
			t.Errorf("%d rows are read, want the flight and the next one", out)
		}
		source.mu.Unlock()
		pass(time.Second) // the second is in the air
		if diff := cmp.Diff(numbers(1, 10), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		if got := sink.flights; !slices.Equal(got, []int{10, 10}) {
			t.Errorf("flights of %v", got)
		}
		stop()
	})
}

// A record that must be sent by itself is, in its place.
func TestARecordFliesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 10), batch: 10}
		sink := &memorySink{delay: time.Millisecond, alone: "4"}
		_, stop := run(t, source, sink)
		pass(time.Second)
		if !slices.Equal(sink.flights, []int{3, 1, 6}) || !slices.Equal(sink.values(), []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}) {
			t.Errorf("flights of %v: %v", sink.flights, sink.values())
		}
		if diff := cmp.Diff(numbers(1, 10), source.settledRows()); diff != "" {
			t.Errorf("settled (-want +got):\n%s", diff)
		}
		stop()
	})
}

// What the source cannot do is told, while records flow.
func TestTroubleOfTheSourceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 3), batch: 10, trouble: &Problem{Reason: "SettleIneffective", Message: "a trigger keeps rows"}}
		health, stop := run(t, source, &memorySink{})
		pass(time.Second)
		if err := health.Ready(); err == nil || err.Error() != "SettleIneffective: a trigger keeps rows" {
			t.Errorf("readiness: %v", err)
		}
		stop()
	})
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

// A row that can never be published is tried again with pauses, also behind others of
// its topic that fly with it.
func TestPoisonIsTriedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{
			rows: numbers(1, 9), batch: 10, poison: map[int]error{4: errors.New("no JSON")},
			topic: func(row int) string { return strconv.Itoa(row % 2) },
		}
		_, stop := run(t, source, &memorySink{delay: time.Millisecond})
		pass(10 * time.Second)
		if n := len(source.blockedRows()); n < 8 || n > 16 {
			t.Errorf("it was tried %d times in ten seconds", n)
		}
		settled := source.settledRows()
		slices.Sort(settled)
		if diff := cmp.Diff([]int{1, 2, 3, 5, 7, 9}, settled); diff != "" {
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

// A flight that the broker refuses is halved until the record that is to blame is
// refused alone: that takes as many flights as the length has digits in binary.
func TestTheGuiltyRecordIsFoundByHalving(t *testing.T) {
	for _, guilty := range []int{1, 2, 500, 513, 999, 1000} {
		t.Run(strconv.Itoa(guilty), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &memorySource{rows: numbers(1, 1000), batch: 1000}
				sink := &halvingSink{guilty: strconv.Itoa(guilty)}
				_, stop := run(t, source, sink)
				pass(time.Second)
				if diff := cmp.Diff(numbers(1, guilty-1), source.settledRows(), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("settled (-want +got):\n%s", diff)
				}
				if blocked := slices.Compact(source.blockedRows()); !slices.Equal(blocked, []int{guilty}) {
					t.Errorf("blocked %v", blocked)
				}
				if n := sink.until(1); n > 12 {
					t.Errorf("%d flights to find it: %v", n, sink.flights)
				}
				sink.cure()
				pass(2 * time.Second)
				if diff := cmp.Diff(numbers(1, 1000), source.settledRows()); diff != "" {
					t.Errorf("settled (-want +got):\n%s", diff)
				}
				stop()
			})
		})
	}
}

// halvingSink refuses a flight as a whole that has one record, as a broker does that
// finds it in a batch.
type halvingSink struct {
	memorySink
	guilty string
}

func (s *halvingSink) cure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guilty = ""
}

// until is how many flights there were until one of that length failed.
func (s *halvingSink) until(length int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Index(s.flights, -length) + 1
}

func (s *halvingSink) Send(_ context.Context, records []*kgo.Record, done func(int, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, r := range records {
		if string(r.Value) == s.guilty {
			err = errTooLarge
		}
	}
	s.flights = append(s.flights, len(records))
	if err != nil {
		s.flights[len(s.flights)-1] *= -1
	}
	go func() {
		for i := range records {
			done(i, err)
		}
	}()
}

// Whatever fails, and for however long: in the end each row is published once, and
// those of a topic in their order.
func TestAnyFailures(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "rows")
		topics := rapid.IntRange(1, 4).Draw(rt, "topics")
		batch := rapid.IntRange(1, 20).Draw(rt, "batch")
		// How often each row fails before it is taken, and how.
		fails := make([]int, n+1)
		kinds := make([]error, n+1)
		for range rapid.IntRange(0, 10).Draw(rt, "failures") {
			row := rapid.IntRange(1, n).Draw(rt, "row")
			fails[row] = rapid.IntRange(1, 5).Draw(rt, "times")
			kinds[row] = rapid.SampledFrom([]error{errNoTopic, errTooLarge}).Draw(rt, "kind")
		}
		unroutable := rapid.IntRange(0, n).Draw(rt, "unroutable")
		synctest.Test(t, func(t *testing.T) {
			topic := func(row int) string { return strconv.Itoa(row % topics) }
			source := &memorySource{rows: numbers(1, n), batch: batch, topic: topic, poison: map[int]error{}}
			if unroutable > 0 {
				source.poison[unroutable] = errors.New("no route")
			}
			var mu sync.Mutex
			sink := &memorySink{delay: time.Millisecond, verdict: func(value string, _ bool) error {
				mu.Lock()
				defer mu.Unlock()
				row, _ := strconv.Atoi(value)
				if fails[row] > 0 {
					fails[row]--
					return kinds[row]
				}
				return nil
			}}
			_, stop := run(t, source, sink)
			pass(time.Second)
			source.correct(unroutable)
			pass(time.Minute)
			if err := stop(); err != nil {
				rt.Fatal(err)
			}
			of := map[string][]int{}
			for _, value := range sink.values() {
				row, _ := strconv.Atoi(value)
				of[topic(row)] = append(of[topic(row)], row)
			}
			for topic, rows := range of {
				if !slices.IsSorted(rows) {
					rt.Errorf("topic %s has %v", topic, rows)
				}
			}
			settled := source.settledRows()
			slices.Sort(settled)
			if diff := cmp.Diff(numbers(1, n), settled); diff != "" || len(sink.values()) != n {
				rt.Fatalf("%d rows were published %d times; settled (-want +got):\n%s", n, len(sink.values()), diff)
			}
		})
	})
}

func TestBrokenSinkEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memorySource{rows: numbers(1, 3), batch: 10}
		sink := &memorySink{verdict: func(string, bool) error { return kgo.ErrClientClosed }}
		_, stop := run(t, source, sink)
		pass(time.Second)
		if err := stop(); !errors.Is(err, kgo.ErrClientClosed) {
			t.Errorf("got %v", err)
		}
	})
}
