package retry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay"
)

const (
	// tick is the grid on which sleeping lanes wake: records that are due
	// within one share a batch. It is the most that a lane adds to a wait.
	tick = 10 * time.Millisecond
	// recordOverhead is what a queued record costs beyond its bytes.
	recordOverhead = 256
)

// restTime is how long a partition is not fetched after that failed.
const restTime = time.Second

// Where records go, as in metrics and config.RetryState.Moved.
const (
	toWait  = "wait"
	toRetry = "retry"
	toDLT   = "dlt"
)

// lane is one partition of a failed or wait topic: the source of one engine.
// The session pushes what it polled; the engine's goroutine does the rest.
type lane struct {
	at       topicPartition
	consumer consumer
	marks    *marks
	metrics  *metrics
	settled  func(records int, took time.Duration)

	mu    sync.Mutex
	step  step
	share share
	// queue holds what was polled and is not settled, in order of offsets. first is
	// the number of queue[0].
	queue  []entry
	first  int64
	bytes  int
	paused bool
	// wake is signalled when the head of the queue may have changed.
	wake chan struct{}
}

// consumer is what a lane needs of *kgo.Client.
type consumer interface {
	PauseFetchPartitions(map[string][]int32) map[string][]int32
	ResumeFetchPartitions(map[string][]int32)
}

type topicPartition struct {
	topic     string
	partition int32
}

func (at topicPartition) String() string { return fmt.Sprintf("%s/%d", at.topic, at.partition) }

// entry is a record that was polled.
type entry struct {
	state  entryState
	to     string // where it goes, once it is out
	record *kgo.Record
	// due is when it may go: never before the records in front of it.
	due time.Time
	// next is the offset behind it, and behind what of a transaction follows it
	// that is no record.
	next kgo.EpochOffset
}

// entryState is how far a record is.
type entryState uint8

const (
	queued entryState = iota
	out               // in the engine's hands
	acknowledged
)

// share is what a lane may use of the worker's memory and of its producer.
type share struct{ bytes, records int }

func newLane(at topicPartition, step step, consumer consumer, marks *marks, metrics *metrics, settled func(records int, took time.Duration)) *lane {
	return &lane{
		settled: settled,
		at:      at, step: step, share: share{bytes: laneBytesMin, records: laneRecordsMin},
		consumer: consumer, marks: marks, metrics: metrics,
		wake: make(chan struct{}, 1),
	}
}

// setStep changes what becomes of records that are not in flight yet.
func (l *lane) setStep(step step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.step = step
}

// group is the ID of the group whose records these are.
func (l *lane) group() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.step.rules.Group
}

// setShare changes what the lane may use from now on.
func (l *lane) setShare(share share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share = share
}

// push queues polled records. It never blocks; a lane that has enough pauses
// its partition.
func (l *lane) push(records []*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due time.Time
	if n := len(l.queue); n > 0 {
		due = l.queue[n-1].due
	}
	for _, record := range records {
		next := kgo.EpochOffset{Epoch: record.LeaderEpoch, Offset: record.Offset + 1}
		if record.Attrs.IsControl() {
			// The end of a transaction. It is settled with the record before it, so
			// that a lane in which nothing waits is committed to its end.
			if n := len(l.queue); n > 0 {
				l.queue[n-1].next = next
			} else {
				l.marks.set(l.at, next)
			}
			continue
		}
		if l.step.wait > 0 {
			own := deadletter.Due(headersOf(record), record.Timestamp, l.step.delay())
			if own.After(due) {
				due = own
			}
		}
		l.queue = append(l.queue, entry{record: record, due: due, next: next})
		l.bytes += size(record)
	}
	if !l.paused && l.bytes >= l.share.bytes {
		l.paused = true
		l.consumer.PauseFetchPartitions(l.at.set())
	}
	select {
	case l.wake <- struct{}{}:
	default: // it has been told
	}
}

// release ends the pause of a partition whose lane has stopped: the client
// remembers pauses beyond an assignment.
func (l *lane) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused {
		l.paused = false
		l.consumer.ResumeFetchPartitions(l.at.set())
	}
}

// rest pauses the partition for restTime.
func (l *lane) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused {
		return
	}
	l.paused = true
	l.consumer.PauseFetchPartitions(l.at.set())
	time.AfterFunc(restTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.resume()
	})
}

// resume ends the pause if there is room; l.mu is held.
func (l *lane) resume() {
	if l.paused && l.bytes <= l.share.bytes/2 {
		l.paused = false
		l.consumer.ResumeFetchPartitions(l.at.set())
	}
}

// Next implements relay.Source: it sleeps until the head of the queue is due.
func (l *lane) Next(ctx context.Context) ([]relay.Item, error) {
	if err := l.Settle(ctx); err != nil {
		return nil, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		items, due := l.take(now)
		if len(items) > 0 {
			return items, nil
		}
		var head <-chan time.Time
		if !due.IsZero() {
			timer.Reset(due.Sub(now) + tick - time.Duration(due.UnixNano())%tick)
			head = timer.C
		}
		select {
		case <-head:
		case <-l.wake:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// take returns the batch that is due now, or when the head will be; a zero
// time means that the queue is empty.
func (l *lane) take(now time.Time) (items []relay.Item, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queue {
		e := &l.queue[i]
		if e.state != queued {
			continue
		}
		if e.due.After(now) {
			due = e.due
			break
		}
		if len(items) == l.share.records {
			break
		}
		item := relay.Item{Number: l.first + int64(i)}
		item.Record, e.to = l.step.move(e.record, now)
		e.state = out
		items = append(items, item)
	}
	return items, due
}

// entry is the one with a number. l.mu is held.
func (l *lane) entry(number int64) *entry { return &l.queue[number-l.first] }

// Acknowledge implements relay.Source.
func (l *lane) Acknowledge(numbers []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, number := range numbers {
		l.entry(number).state = acknowledged
	}
}

// Rewind implements relay.Source.
func (l *lane) Rewind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queue {
		if l.queue[i].state == out {
			l.queue[i].state = queued
		}
	}
}

// Settle implements relay.Source: it marks the offset behind the first records that
// were acknowledged, to be committed soon.
func (l *lane) Settle(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, n := time.Now(), 0
	for ; n < len(l.queue) && l.queue[n].state == acknowledged; n++ {
		e := l.queue[n]
		l.metrics.moved(l.step.rules.Group, e.to)
		if e.to == toRetry {
			l.metrics.lateness.Observe(now.Sub(e.due).Seconds())
		}
		l.bytes -= size(e.record)
	}
	if n == 0 {
		return nil
	}
	l.marks.set(l.at, l.queue[n-1].next)
	l.settled(n, time.Since(now))
	clear(l.queue[:n]) // let go of the records now: the array lives on
	l.queue, l.first = l.queue[n:], l.first+int64(n)
	l.resume()
	return nil
}

// Trouble implements relay.Source.
func (l *lane) Trouble() *relay.Problem { return nil }

// Keep implements relay.Source. There is no session to lose: a lane whose
// partition is gone is stopped.
func (l *lane) Keep(context.Context) error { return nil }

// Block implements relay.Source. The lane waits: a failed record has nowhere
// else to go, and must not be lost.
func (l *lane) Block(_ context.Context, number int64, cause error) *relay.Problem {
	l.mu.Lock()
	record := l.entry(number).record
	l.mu.Unlock()
	return &relay.Problem{Reason: recordRefused, Err: cause, Message: fmt.Sprintf(
		"the record at offset %d of %s cannot be moved, and those behind it wait: %v; Weir adds some hundred bytes of headers: "+
			"raise max.message.bytes of all topics of the group above that of its source topics", record.Offset, l.at, cause)}
}

// recordRefused: a record can never be produced.
const recordRefused = "RecordRefused"

func (at topicPartition) set() map[string][]int32 {
	return map[string][]int32{at.topic: {at.partition}}
}
