package kafka

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batchLog is a coalescer that answers "<input>!" after delay and remembers its
// batches.
type batchLog struct {
	coalescer[string, string]
	delay   time.Duration
	mu      sync.Mutex
	batches [][]string
}

var errRefused = errors.New("refused")

func newBatchLog(delay time.Duration) *batchLog {
	log := &batchLog{delay: delay}
	log.run = func(_ context.Context, ins []string) []outcome[string] {
		log.mu.Lock()
		log.batches = append(log.batches, ins)
		log.mu.Unlock()
		time.Sleep(log.delay)
		outs := make([]outcome[string], len(ins))
		for i, in := range ins {
			outs[i].value = in + "!"
			if in == "bad" {
				outs[i] = outcome[string]{err: errRefused}
			}
		}
		return outs
	}
	return log
}

// caller starts calls in the order in which it is told of them.
type caller struct {
	sync.WaitGroup
	t   *testing.T
	log *batchLog
}

func (c *caller) call(in string, patience time.Duration, want error) {
	c.Go(func() {
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		defer cancel()
		out, err := c.log.do(ctx, in)
		if !errors.Is(err, want) || err == nil && out != in+"!" {
			c.t.Errorf("do(%q) = %q, %v, want error %v", in, out, err, want)
		}
	})
	synctest.Wait()
}

func TestCallsDuringABatchAreTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := caller{t: t, log: newBatchLog(time.Second)}
		begin := time.Now()
		calls.call("a", time.Minute, nil) // waits for nobody
		calls.call("b", time.Minute, nil)
		calls.call("c", time.Minute, nil)
		calls.Wait()
		if took := time.Since(begin); took != 2*time.Second+gatherPause {
			t.Errorf("two batches of 1s took %v", took)
		}
		time.Sleep(stormPause)
		begin = time.Now()
		calls.call("d", time.Minute, nil)
		calls.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("a call on its own took %v", took)
		}
		calls.call("e", time.Minute, nil) // right after a batch, it waits for company
		calls.call("f", time.Minute, nil)
		calls.Wait()
		if diff := cmp.Diff([][]string{{"a"}, {"b", "c"}, {"d"}, {"e", "f"}}, calls.log.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestAnErrorIsItsOwnCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := caller{t: t, log: newBatchLog(time.Second)}
		calls.call("first", time.Minute, nil)
		calls.call("good", time.Minute, nil)
		calls.call("bad", time.Minute, errRefused)
		calls.call("fine", time.Minute, nil)
		calls.Wait()
		if len(calls.log.batches) != 2 {
			t.Errorf("batches: %v", calls.log.batches)
		}
	})
}

func TestACallerWhoGivesUpDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := caller{t: t, log: newBatchLog(time.Second)}
		calls.call("gone within its batch", time.Second/2, context.DeadlineExceeded)
		calls.call("gone before its batch", time.Second/2, context.DeadlineExceeded)
		calls.call("patient", time.Minute, nil)
		calls.Wait()
		if diff := cmp.Diff([][]string{{"gone within its batch"}, {"patient"}}, calls.log.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

// A broker that accepts a request and never answers holds nobody for ever.
func TestABatchHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frozen coalescer[string, string]
		frozen.run = func(ctx context.Context, ins []string) []outcome[string] {
			<-ctx.Done()
			return []outcome[string]{{err: ctx.Err()}}
		}
		begin := time.Now()
		if _, err := frozen.do(t.Context(), "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != batchTimeout {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newBatchLog(time.Second)
		start := time.Now()
		answered := make(chan error, 1)
		go func() {
			_, err := log.do(t.Context(), "a")
			answered <- err
		}()
		synctest.Wait()
		log.close()
		if waited := time.Since(start); waited < time.Second {
			t.Errorf("close came back after %v, before the batch", waited)
		}
		if err := <-answered; err != nil {
			t.Errorf("the call under way: %v", err)
		}
		if _, err := log.do(t.Context(), "b"); !errors.Is(err, kgo.ErrClientClosed) {
			t.Errorf("a call after close: %v, want %v", err, kgo.ErrClientClosed)
		}
	})
}

func TestPerTopicNamesEachTopicOnceARequest(t *testing.T) {
	t.Parallel()
	var all []topicChanges
	for i := range requestItems + 2 {
		all = append(all, topicChanges{name: strconv.Itoa(i)})
	}
	all = append(all, topicChanges{name: "0"}, topicChanges{name: "lost"}, topicChanges{name: "0"})
	var sizes []int
	outcomes := perTopic(all, func(items []topicChanges, answer answer[done]) error {
		sizes = append(sizes, len(items))
		seen := map[string]bool{}
		for _, item := range items {
			if seen[item.name] {
				t.Errorf("request %d names topic %s twice", len(sizes), item.name)
			}
			seen[item.name] = true
			if item.name != "lost" {
				answer(item.name, done{}, nil)
			}
		}
		answer("a stranger", done{}, nil)
		if len(sizes) == 3 {
			return errors.New("connection lost")
		}
		return nil
	})
	if diff := cmp.Diff([]int{requestItems, 4, 1}, sizes); diff != "" {
		t.Errorf("sizes of requests (-want +got):\n%s", diff)
	}
	for i, out := range outcomes {
		var want string
		switch i {
		case len(all) - 2:
			want = errNoAnswer.Error()
		case len(all) - 1:
			want = "connection lost"
		}
		if got := text(out.err); got != want {
			t.Errorf("item %d (%s): %q, want %q", i, all[i].name, got, want)
		}
	}
}

// No request makes more partitions than Kafka takes in one.
func TestPerTopicBoundsThePartitionsOfARequest(t *testing.T) {
	t.Parallel()
	var all []topicChanges
	for i, partitions := range []int32{9_000, 1_000, 1, 12_000, 5_000, 0} {
		all = append(all, topicChanges{name: strconv.Itoa(i), changes: []Change{{Kind: CreateTopic, Partitions: partitions}}})
	}
	var requests [][]string
	perTopic(all, func(items []topicChanges, answer answer[done]) error {
		var names []string
		for _, item := range items {
			names = append(names, item.name)
			answer(item.name, done{}, nil)
		}
		requests = append(requests, names)
		return nil
	})
	if diff := cmp.Diff([][]string{{"0", "1"}, {"2", "4", "5"}, {"3"}}, requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
