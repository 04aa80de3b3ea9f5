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
				outs[i] = outcome[string]{err: errors.New("refused")}
			}
		}
		return outs
	}
	return log
}

func TestCallsWithinTheWindowShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newBatchLog(time.Second)
		var group sync.WaitGroup
		call := func(in string) {
			group.Go(func() {
				if out, err := log.do(t.Context(), in); err != nil || out != in+"!" {
					t.Errorf("do(%q) = %q, %v", in, out, err)
				}
			})
			synctest.Wait()
		}
		call("a")
		time.Sleep(batchWindow - time.Nanosecond)
		call("b")
		time.Sleep(2 * time.Nanosecond)
		call("c") // while the first batch runs
		group.Wait()
		if diff := cmp.Diff([][]string{{"a", "b"}, {"c"}}, log.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestAnErrorIsItsOwnCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newBatchLog(0)
		var group sync.WaitGroup
		for i, in := range []string{"good", "bad", "fine"} {
			group.Go(func() {
				_, err := log.do(t.Context(), in)
				if (err != nil) != (in == "bad") {
					t.Errorf("call %d, %s: %v", i, in, err)
				}
			})
		}
		group.Wait()
		if len(log.batches) != 1 {
			t.Errorf("batches: %v", log.batches)
		}
	})
}

func TestACallerWhoGivesUpDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newBatchLog(time.Second)
		var group sync.WaitGroup
		call := func(in string, patience time.Duration, want error) {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := log.do(ctx, in); !errors.Is(err, want) {
					t.Errorf("do(%q): %v, want %v", in, err, want)
				}
			})
			synctest.Wait()
		}
		call("gone before the batch", batchWindow/2, context.DeadlineExceeded)
		call("gone within the batch", batchWindow*2, context.DeadlineExceeded)
		call("patient", time.Minute, nil)
		group.Wait()
		if diff := cmp.Diff([][]string{{"gone within the batch", "patient"}}, log.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
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
	outcomes := perTopic(all, func(items []topicChanges, answer answer) error {
		sizes = append(sizes, len(items))
		seen := map[string]bool{}
		for _, item := range items {
			if seen[item.name] {
				t.Errorf("request %d names topic %s twice", len(sizes), item.name)
			}
			seen[item.name] = true
			if item.name != "lost" {
				answer(item.name, nil)
			}
		}
		answer("a stranger", nil)
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

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
