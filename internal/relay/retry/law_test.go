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
	"github.com/prometheus/client_golang/prometheus"
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
}

const stuck = "5"

func (s *brokenSink) Send(ctx context.Context, records []*kgo.Record, done func(int, error)) {
	at := slices.IndexFunc(records, func(record *kgo.Record) bool { return string(record.Value) == stuck })
	if at < 0 || !s.broken.Load() {
		s.sink.Send(ctx, records, done)
		return
	}
	s.tries.Add(1)
	if at > 0 {
		s.sink.Send(ctx, records[:at], done)
	}
	go func() {
		for i := range records[at:] {
			done(at+i, errors.New("refused by the test"))
		}
	}()
}

// Judge implements relay.Sink; the embedded one would end the session.
func (s *brokenSink) Judge(*kgo.Record, error) (relay.Verdict, *relay.Problem) {
	return relay.Again, &relay.Problem{Reason: "Refused", Message: "refused by the test"}
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
	s, err := newSession(w, r, broken, broken.explainGroup, connect, cancel)
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

// TestLaneTakesInOrder is the pure part: a record never overtakes one that is due
// later; what is out does not come again, unless the lane is rewound; and what is
// settled is the first that were acknowledged.
func TestLaneTakesInOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	settled := 0
	metrics := newMetrics(prometheus.NewRegistry())
	marks := newMarks(nil)
	l := newLane(topicPartition{"g.wait.1", 0}, step{wait: 1}, nil, marks, metrics, func(n int, _ time.Duration) { settled += n })
	due := func(offset int64, at time.Time) *kgo.Record {
		return &kgo.Record{Offset: offset, Headers: []kgo.RecordHeader{{
			Key: deadletter.NotBefore, Value: []byte(at.Format(time.RFC3339Nano))}}}
	}
	l.push([]*kgo.Record{due(0, now), due(1, now.Add(time.Second)), due(2, now)})
	l.push([]*kgo.Record{due(3, now)})
	for _, want := range []struct {
		at          time.Time
		acknowledge []int64 // numbers, after rewinding
		offsets     []int64
		next        time.Time
		settled     int
	}{
		{at: now.Add(-time.Second), next: now},
		{at: now, offsets: []int64{0}, next: now.Add(time.Second)},
		{at: now.Add(999 * time.Millisecond), offsets: []int64{0}, next: now.Add(time.Second)},
		{at: now.Add(time.Second), offsets: []int64{0, 1, 2, 3}},
		{at: now.Add(time.Second), acknowledge: []int64{1, 3}, offsets: []int64{0, 2}},
		{at: now.Add(time.Second), acknowledge: []int64{0}, offsets: []int64{2}, settled: 2},
		{at: now.Add(time.Second), acknowledge: []int64{2}, settled: 4},
	} {
		if want.acknowledge != nil {
			l.take(want.at)
			l.Acknowledge(want.acknowledge)
			if err := l.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.Rewind()
		}
		items, next := l.take(want.at)
		if again, _ := l.take(want.at); len(again) > 0 {
			t.Errorf("at %s: taken twice: %v", want.at, again)
		}
		var offsets []int64
		for _, item := range items {
			offsets = append(offsets, l.entry(item.Number).record.Offset)
		}
		if !slices.Equal(offsets, want.offsets) || !next.Equal(want.next) || settled != want.settled {
			t.Errorf("at %s: offsets %v, next %s, settled %d; want %+v", want.at, offsets, next, settled, want)
		}
		l.Rewind()
	}
}
