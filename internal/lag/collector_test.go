package lag

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cluster is a Source with state: one group "billing" on one topic "orders"
// of one partition, and other names that are absent.
type cluster struct {
	mu      sync.Mutex
	log     partitionLog
	commit  int64
	down    error         // what every question is answered with, if anything
	latency time.Duration // of DescribeGroups

	asked   []string // the questions, in order
	running int
}

func (c *cluster) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.records = append(c.log.records, time.Now())
}

func (c *cluster) readAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commit = c.log.end()
}

func (c *cluster) set(change func(*cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *cluster) questions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *cluster) DescribeGroups(ctx context.Context, ids []string) map[string]Group {
	c.mu.Lock()
	c.asked = append(c.asked, fmt.Sprint("groups ", ids))
	c.running++
	if c.running > 1 {
		panic("cycles overlap")
	}
	latency, down := c.latency, c.down
	c.mu.Unlock()
	if down == nil {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			down = ctx.Err()
		}
	}
	groups := map[string]Group{}
	for _, id := range ids {
		switch {
		case down != nil:
			groups[id] = Group{Err: down}
		case id == "billing":
			groups[id] = Group{State: "Stable", Type: "Consumer", Members: 2}
		}
	}
	return groups
}

func (c *cluster) CommittedOffsets(ctx context.Context, ids []string) map[string]Commits {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, "commits")
	commits := map[string]Commits{}
	for _, id := range ids {
		switch {
		case c.down != nil:
			commits[id] = Commits{Err: c.down}
		case ctx.Err() != nil:
			commits[id] = Commits{Err: ctx.Err()}
		case id == "billing":
			commits[id] = Commits{Offsets: map[Partition]int64{{"orders", 0}: c.commit}}
		default:
			commits[id] = Commits{}
		}
	}
	return commits
}

func (c *cluster) PartitionOffsets(ctx context.Context, at map[string][]time.Time) map[string]Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	names := slices.Sorted(maps.Keys(at))
	c.asked = append(c.asked, fmt.Sprint("offsets ", names))
	topics := map[string]Topic{}
	for _, name := range names {
		switch {
		case c.down != nil:
			topics[name] = Topic{Err: c.down}
		case ctx.Err() != nil:
			topics[name] = Topic{Err: ctx.Err()}
		case name == "orders":
			topics[name] = Topic{Partitions: []Offsets{c.log.offsets(at[name])}}
		default:
			topics[name] = Topic{Err: errors.New("no topic " + name)}
		}
	}
	return topics
}

// watched is a running Collector and what it said.
type watched struct {
	*Collector
	cluster *cluster
	stop    context.CancelFunc
	started time.Time

	mu      sync.Mutex
	changes []string // "<time since start> <key> <verdict>"
}

func watch(t *testing.T, c *cluster) *watched {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{cluster: c, stop: cancel, started: time.Now()}
	w.Collector = New(c, 15*time.Second, func(key string) {
		report, _ := w.Latest(key)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changes = append(w.changes, fmt.Sprintf("%v %s %v", time.Since(w.started), key, report.Verdict(time.Now())))
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// until lets time pass until so long after the start.
func (w *watched) until(d time.Duration) {
	time.Sleep(time.Until(w.started.Add(d)))
	synctest.Wait()
}

func (w *watched) expect(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

var billing = Spec{Group: "billing", Topics: []string{"orders"}, MaxTime: 10 * time.Second, For: 20 * time.Second}

func TestCollectorTellsWhenAGroupBeginsToLagAndWhenItCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		w := watch(t, c)
		w.Set("b", billing)
		w.until(2 * time.Second)
		w.expect(t, "1s b KeepsUp") // soon, and not at the end of the interval

		c.write() // 10 s old at 12 s: seen over at 15 s, Lagging at 35 s, between two cycles
		w.until(36 * time.Second)
		w.expect(t, "1s b KeepsUp", "35s b Lagging")
		report, ok := w.Latest("b")
		if since := report.OverSince.Sub(w.started); !ok || since != 15*time.Second || report.Records != 1 || report.State != "Stable" || report.Members != 2 {
			t.Errorf("over since %v: %+v", since, report)
		}

		w.until(50 * time.Second)
		c.readAll()
		w.until(61 * time.Second)
		w.expect(t, "1s b KeepsUp", "35s b Lagging", "1m0s b KeepsUp")
	})
}

func TestCollectorSaysNothingWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, &cluster{})
		w.Set("b", billing)
		w.until(time.Hour)
		w.expect(t, "1s b KeepsUp")
	})
}

func TestCollectorAsksForAllGroupsTogetherAndForCommitsBeforeOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		w := watch(t, c)
		w.until(50 * time.Second)
		if asked := c.questions(); asked != nil {
			t.Errorf("asked %q without a group", asked)
		}
		w.Set("b", billing)
		w.Set("same group", Spec{Group: "billing", Topics: []string{"orders", "orders"}})
		w.Set("l", Spec{Group: "ledger", Topics: []string{"payments", "orders"}})
		w.until(52 * time.Second)
		want := []string{"groups [billing ledger]", "commits", "offsets [orders payments]"}
		if diff := cmp.Diff(want, c.questions()); diff != "" {
			t.Errorf("questions (-want +got):\n%s", diff)
		}
		// ledger has committed nothing and one of its topics is absent.
		w.expect(t, "51s b KeepsUp", "51s l Unknown", "51s same group KeepsUp")
		report, _ := w.Latest("l")
		if err := text(report.Err); err != "no topic payments" || report.State != "" || len(report.Partitions) != 1 {
			t.Errorf("error %q: %+v", err, report)
		}
	})
}

func TestCollectorKeepsWhatItKnewWhileTheClusterIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		w := watch(t, c)
		c.write()
		w.Set("b", billing)
		w.until(40 * time.Second) // over since 15 s, Lagging since 35 s
		c.set(func(c *cluster) { c.down = errors.New("unreachable") })
		w.until(50 * time.Second)
		report, _ := w.Latest("b")
		if at := report.At.Sub(w.started); at != 30*time.Second || report.Records != 1 || report.Fresh() || text(report.Err) != "unreachable" {
			t.Errorf("measured at %v: %+v", at, report)
		}
		c.set(func(c *cluster) { c.down = nil })
		w.until(70 * time.Second)
		w.expect(t, "1s b KeepsUp", "35s b Lagging", "45s b Unknown", "1m0s b Lagging")
	})
}

func TestCollectorMeasuresAnewWhenASpecChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		w := watch(t, c)
		c.write()
		w.Set("b", billing)
		w.until(20 * time.Second)
		w.Set("b", billing) // no change
		w.until(22 * time.Second)
		if cycles := len(c.questions()) / 3; cycles != 2 {
			t.Errorf("%d cycles, want 2", cycles)
		}

		shorter := billing
		shorter.For = time.Second
		w.Set("b", shorter)
		if report, ok := w.Latest("b"); !ok || report.Verdict(time.Now()) != Lagging {
			t.Errorf("another For needs no other measurement: %v %+v", ok, report)
		}

		loose := billing
		loose.MaxTime = time.Hour
		w.until(25 * time.Second)
		w.Set("b", loose)
		if report, ok := w.Latest("b"); ok {
			t.Errorf("a report on another objective: %+v", report)
		}
		w.until(27 * time.Second)
		w.expect(t, "1s b KeepsUp", "23s b Lagging", "26s b KeepsUp")

		w.Remove("b")
		w.until(time.Minute)
		if report, ok := w.Latest("b"); ok {
			t.Errorf("a report on a group that is removed: %+v", report)
		}
		if reports := w.Reports(); len(reports) != 0 {
			t.Errorf("reports on %v", slices.Collect(maps.Keys(reports)))
		}
		w.expect(t, "1s b KeepsUp", "23s b Lagging", "26s b KeepsUp")
	})
}

func TestCollectorIgnoresWhatACycleFoundByAnOlderSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{latency: 5 * time.Second}
		w := watch(t, c)
		w.Set("b", billing)
		w.until(3 * time.Second) // the cycle is under way
		loose := billing
		loose.MaxTime = time.Hour
		w.Set("b", loose)
		w.until(8 * time.Second)
		if report, ok := w.Latest("b"); ok {
			t.Errorf("a report on another objective: %+v", report)
		}
		w.until(13 * time.Second)
		w.expect(t, "12s b KeepsUp")
	})
}

func TestCollectorNeverOverlapsCyclesAndShowsHowLongTheyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{latency: 40 * time.Second} // more than two intervals; the fake panics on overlap
		w := watch(t, c)
		w.Set("b", billing)
		w.until(10 * time.Minute)
		if got := w.LastCycle(); got.Took != 40*time.Second || got.Started.IsZero() {
			t.Errorf("last cycle %+v", got)
		}
		if cycles := len(c.questions()) / 3; cycles != 14 {
			t.Errorf("%d cycles in ten minutes, want 14", cycles)
		}
		w.expect(t, "41s b KeepsUp")

		c.set(func(c *cluster) { c.latency = time.Hour })
		w.until(12 * time.Minute)
		report, _ := w.Latest("b")
		if !errors.Is(report.Err, context.DeadlineExceeded) || w.LastCycle().Took != time.Minute {
			t.Errorf("a cycle that hangs: took %v, error %v", w.LastCycle().Took, report.Err)
		}
	})
}

func TestCollectorStopsInTheMiddleOfACycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{latency: 10 * time.Second}
		w := watch(t, c)
		w.Set("b", billing)
		w.until(5 * time.Second)
		w.stop()
		w.until(6 * time.Second)
		if report, ok := w.Latest("b"); ok {
			t.Errorf("the cut cycle was taken for the cluster's answer: %+v", report)
		}
	})
}
