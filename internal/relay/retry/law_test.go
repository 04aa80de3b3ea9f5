package retry

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/test/env"
)

// brokenSink refuses one record for as long as it is broken, as a broker
// would: those in front of it are acknowledged, those behind it are not written.
type brokenSink struct {
	sink
	broken atomic.Bool
	tries  atomic.Int32

	mu     sync.Mutex
	ahead  chan struct{}   // closed when the record in front is judged
	refuse context.Context // of the flight with the record that is refused
}

const stuck = "5"

func (s *brokenSink) Produce(ctx context.Context, record *kgo.Record, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case string(record.Value) == stuck && s.broken.Load():
		s.tries.Add(1)
		s.refuse = ctx
		ahead := s.ahead
		go func() {
			if ahead != nil {
				<-ahead
			}
			done(errors.New("refused by the test"))
		}()
	case ctx == s.refuse:
		go func() {
			<-ctx.Done()
			done(ctx.Err())
		}()
	default:
		judged := make(chan struct{})
		s.ahead = judged
		s.sink.Produce(ctx, record, func(err error) {
			done(err)
			close(judged)
		})
	}
}

// Explain implements relay.Sink; the embedded one would end the session.
func (s *brokenSink) Explain(*kgo.Record, error) *relay.Problem {
	return &relay.Problem{Reason: "Refused", Message: "refused by the test"}
}

// TestCommitStaysBehindAcknowledged is law 1 and law 3: while one record is
// not acknowledged, the committed offset is never past it, nor is a later
// record published; when it is, all go on in order.
func TestCommitStaysBehindAcknowledged(t *testing.T) {
	t.Parallel()
	for _, via := range []string{"failed", "wait"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			group := p.group([]time.Duration{time.Millisecond})
			from, to := deadletter.Failed(group), deadletter.Wait(group, 1)
			if via == "wait" {
				from, to = to, deadletter.Retry(group)
			}
			broken := p.startBroken()
			records := numbered(group, 1, 20)
			for i, r := range records {
				r.Topic, r.Value = from, strconv.AppendInt(nil, int64(i), 10)
			}
			p.produce(records...)
			env.Until(t, "some attempts", func() bool {
				if n := p.committed(from); n > 5 {
					t.Fatalf("offset %d is committed, record 5 was not acknowledged", n)
				}
				return broken.tries.Load() >= 5 && p.committed(from) == 5
			})
			if n := p.count(to); n != 5 {
				t.Fatalf("%d records are published, the sixth is not acknowledged", n)
			}
			broken.broken.Store(false)
			if diff := cmp.Diff(valuesByKey(records), valuesByKey(p.read(to, 20))); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			env.Until(t, "all to be committed", func() bool { return p.committed(from) == 20 })
		})
	}
}

// startBroken runs a session on a broken sink until the test ends.
func (p *platform) startBroken() *brokenSink {
	p.tb.Helper()
	w, err := newWorker(relay.Options{Dir: p.dir, Log: testLog(p.tb)})
	if err != nil {
		p.tb.Fatal(err)
	}
	r := w.current()
	producer, connect, err := w.connect(&r.Retry)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(producer.Close)
	broken := &brokenSink{sink: producer}
	broken.broken.Store(true)
	ctx, cancel := context.WithCancelCause(context.Background())
	s, err := newSession(w, r, broken, connect, cancel)
	if err != nil {
		p.tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	p.tb.Cleanup(func() {
		cancel(nil)
		running.Wait()
	})
	return broken
}

// TestStopCommits is law 4: what was acknowledged is committed when a worker
// stops, so the next one repeats nothing.
func TestStopCommits(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{time.Millisecond})
	retry := p.reader(deadletter.Retry(group))
	const n = 2_000
	for range 3 {
		w, stop := p.active()
		p.produce(numbered(group, 7, n)...)
		env.Until(t, "some records to move", func() bool { return w.state().Moved[toWait] > 0 })
		stop()
	}
	p.active()
	retry.next(3 * n)
	for _, topic := range []string{deadletter.Failed(group), deadletter.Wait(group, 1)} {
		env.Until(t, "everything to be committed", func() bool { return p.committed(topic) == 3*n })
	}
	if got := p.count(deadletter.Retry(group)); got != 3*n {
		t.Errorf("%d records of %d came back", got, 3*n)
	}
}

// TestTwoWorkersShare checks that two workers share the partitions, that one
// takes over when the other stops, and that every record is moved once.
func TestTwoWorkersShare(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{100 * time.Millisecond})
	first, _ := p.active()
	second, stopSecond := p.active()
	const keys, n = 30, 1_000
	var produced []*kgo.Record
	// The second worker has joined, but the first one gives partitions away in
	// a rebalance of its own: records go on until both have moved some.
	env.Until(t, "both to move records", func() bool {
		produced = append(produced, p.produce(numbered(group, keys, n)...)...)
		return first.state().Moved[toWait] > 0 && second.state().Moved[toWait] > 0
	})
	stopSecond()
	produced = append(produced, p.produce(numbered(group, keys, n)...)...)
	got := p.read(deadletter.Retry(group), len(produced))
	if diff := cmp.Diff(valuesByKey(produced), valuesByKey(got)); diff != "" {
		t.Errorf("values by key (-want +got):\n%s", diff)
	}
	if n := p.count(deadletter.Retry(group)); n != int64(len(produced)) {
		t.Errorf("%d records of %d came back", n, len(produced))
	}
}

// TestLaneTakesInOrder is the pure part: a record never overtakes one that is
// due later, and what was not settled comes again.
func TestLaneTakesInOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLane(topicPartition{"g.wait.1", 0}, step{wait: 1}, nil, nil, nil)
	due := func(offset int64, at time.Time) *kgo.Record {
		return &kgo.Record{Offset: offset, Headers: []kgo.RecordHeader{{
			Key: deadletter.NotBefore, Value: []byte(at.Format(time.RFC3339Nano))}}}
	}
	l.push([]*kgo.Record{due(0, now), due(1, now.Add(time.Second)), due(2, now)})
	l.push([]*kgo.Record{due(3, now)})
	for _, want := range []struct {
		at      time.Time
		offsets []int64
		next    time.Time
	}{
		{now.Add(-time.Second), nil, now},
		{now, []int64{0}, now.Add(time.Second)},
		{now.Add(999 * time.Millisecond), []int64{0}, now.Add(time.Second)},
		{now.Add(time.Second), []int64{0, 1, 2, 3}, time.Time{}},
	} {
		items, next := l.take(want.at)
		var offsets []int64
		for _, p := range l.batch {
			offsets = append(offsets, p.from.record.Offset)
		}
		if !slices.Equal(offsets, want.offsets) || len(items) != len(offsets) || !next.Equal(want.next) {
			t.Errorf("at %s: offsets %v, next %s; want %v, %s", want.at, offsets, next, want.offsets, want.next)
		}
	}
}
