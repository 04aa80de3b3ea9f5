package grants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

var (
	errCrash = errors.New("the process is gone")
	errAway  = &kafka.Error{Class: kafka.Transient, Reason: kafka.Unreachable, Message: "no broker answers"}
)

// world is a Kafka cluster and a record in memory. The process that works on
// them dies at the request that left counts down to: before it acts, or after.
type world struct {
	mu       sync.Mutex
	bindings map[kafka.Binding]struct{}
	entries  map[record.Key]record.Entry
	log      []string // what was changed in Kafka, and stored
	left     int      // 0 means for ever
	after    bool
	dead     bool
	fail     func(kafka.Binding) error // of a creation or deletion
	list     error
	denials  map[kafka.Binding]struct{}
	shown    map[kafka.Binding]struct{} // what a broker that is behind shows; nil where it is not
}

func newWorld() *world {
	return &world{bindings: map[kafka.Binding]struct{}{}, entries: map[record.Key]record.Entry{}}
}

// act does what a request does, unless the process dies.
func (w *world) act(do func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errCrash
	}
	if w.left > 0 {
		if w.left--; w.left == 0 {
			w.dead = true
			if w.after {
				do()
			}
			return errCrash
		}
	}
	do()
	return nil
}

func (w *world) Bindings(context.Context) (have map[kafka.Binding]struct{}, err error) {
	err = w.act(func() {
		if have = maps.Clone(w.bindings); w.shown != nil {
			have = maps.Clone(w.shown)
		}
	})
	if err == nil {
		err = w.list
	}
	return have, err
}

func (w *world) Denials(context.Context) (map[kafka.Binding]struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.denials), nil
}

func (w *world) CreateBindings(_ context.Context, bindings []kafka.Binding) []error {
	return w.each("add", bindings, func(binding kafka.Binding) { w.bindings[binding] = struct{}{} })
}

func (w *world) DeleteBindings(_ context.Context, bindings []kafka.Binding) []error {
	return w.each("remove", bindings, func(binding kafka.Binding) { delete(w.bindings, binding) })
}

func (w *world) each(what string, bindings []kafka.Binding, do func(kafka.Binding)) []error {
	errs := make([]error, len(bindings))
	err := w.act(func() {
		for i, binding := range bindings {
			if w.fail != nil {
				if errs[i] = w.fail(binding); errs[i] != nil {
					continue
				}
			}
			w.log = append(w.log, what+" "+binding.Name)
			do(binding)
		}
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(bindings))
	}
	return errs
}

func (w *world) Load(context.Context) (record.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return record.State{Entries: maps.Clone(w.entries)}, nil
}

func (w *world) Store(_ context.Context, changes []record.Change) error {
	return w.act(func() {
		for _, change := range changes {
			if change.Entry == nil {
				delete(w.entries, change.Key)
			} else {
				w.entries[change.Key] = *change.Entry
			}
		}
		w.log = append(w.log, "store")
	})
}

// took returns what happened since it was last asked.
func (w *world) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

func (w *world) has(names ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var have []string
	for binding := range w.bindings {
		have = append(have, binding.Name)
	}
	slices.Sort(have)
	return slices.Equal(have, names)
}

func read(topic string) kafka.Binding {
	return kafka.Binding{Principal: "User:a", Host: "*", Operation: kafka.OperationRead, Resource: kafka.ResourceTopic, Pattern: kafka.PatternLiteral, Name: topic}
}

func granting(topics ...string) Wants {
	wants := Wants{}
	for _, topic := range topics {
		wants[read(topic)] = Grant
	}
	return wants
}

func owner(name string) record.Ref { return record.Ref{Kind: "Topic", Namespace: "shop", Name: name} }

// start starts a writer of a process that knows nothing but the world.
func (w *world) start(t *testing.T, change ...func(*Options)) (*Writer, *woken) {
	t.Helper()
	w.mu.Lock()
	w.dead = false
	entries := maps.Clone(w.entries)
	w.mu.Unlock()
	woken := &woken{}
	options := Options{Cluster: w, Record: w, Entries: entries, Resync: time.Minute, Wake: woken.add, Fatal: func(err error) { t.Error(err) }}
	for _, c := range change {
		c(&options)
	}
	return New(options), woken
}

// woken are the resources that were woken.
type woken struct {
	mu  sync.Mutex
	all []string
}

func (w *woken) add(ref record.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, ref.Name)
}

func (w *woken) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// in runs a test in a bubble with a clock of its own.
func in(t *testing.T, test func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func wantPhase(t *testing.T, w *Writer, name string, want Phase) State {
	t.Helper()
	state := w.State(owner(name))
	if state.Phase != want {
		t.Errorf("%s is %+v, want %s", name, state, want)
	}
	return state
}

func TestGrantsAreStoredAddedAndTakenBack(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, woken := world.start(t)
		defer w.Close()
		wantPhase(t, w, "orders", Unknown)
		w.Declare(owner("orders"), granting("a", "b"), Asked)
		synctest.Wait()
		wantPhase(t, w, "orders", Enforced)
		if diff := cmp.Diff([]string{"store", "add a", "add b", "store"}, world.took()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"orders"}, woken.take()); diff != "" {
			t.Errorf("woken (-want +got):\n%s", diff)
		}

		// What another resource wants too stays; what is asked for comes before
		// what goes; and that waits for a moment.
		w.Declare(owner("other"), granting("b"), Asked)
		w.Declare(owner("orders"), granting("c"), Asked)
		synctest.Wait()
		if !world.has("a", "b", "c") {
			t.Errorf("right after the change: %v", world.bindings)
		}
		if report := w.Report(); report.Leaving != 1 || report.Since.IsZero() || report.Trouble != nil {
			t.Errorf("report: %+v", report)
		}
		time.Sleep(askedAfter)
		synctest.Wait()
		if !world.has("b", "c") || w.Report().Leaving != 0 {
			t.Errorf("after a while: %v", world.bindings)
		}
		w.Gone(owner("other"), Now)
		synctest.Wait()
		if !world.has("c") {
			t.Errorf("gone at once: %v", world.bindings)
		}
		wantPhase(t, w, "other", Unknown)
	})
}

// A delete and recreate does not blink.
func TestDeclaredAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		defer w.Close()
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		w.Gone(owner("orders"), Asked)
		time.Sleep(askedAfter - time.Second)
		w.Declare(owner("orders"), granting("a"), Asked)
		time.Sleep(time.Hour)
		synctest.Wait()
		if log := world.took(); slices.Contains(log, "remove a") || !world.has("a") {
			t.Errorf("log: %v", log)
		}
	})
}

// What is declared again while it is being removed, or while another one is added
// before that, is there in the end.
func TestDeclaredAgainMeanwhile(t *testing.T) {
	for meanwhile, removed := range map[string]bool{"a": true, "b": false} {
		t.Run(meanwhile, func(t *testing.T) {
			in(t, func(t *testing.T) {
				world := newWorld()
				w, _ := world.start(t)
				defer w.Close()
				w.Declare(owner("orders"), granting("a"), Asked)
				synctest.Wait()
				world.took()
				world.fail = func(binding kafka.Binding) error {
					if binding.Name == meanwhile {
						world.fail = nil
						w.Declare(owner("again"), granting("a"), Asked)
					}
					return nil
				}
				w.Declare(owner("orders"), granting("b"), Now) // adds b and removes a
				time.Sleep(time.Hour)
				synctest.Wait()
				if log := world.took(); !world.has("a", "b") || slices.Contains(log, "remove a") != removed {
					t.Errorf("there is %v; log: %v", world.bindings, log)
				}
				if entry := world.entries[key(read("a"))]; entry.Phase != record.Held {
					t.Errorf("the record has %+v", entry)
				}
			})
		})
	}
}

// After a start, what nobody has declared yet is not absent.
func TestAbsenceIsNoWish(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		w.Declare(owner("orders"), granting("a"), Asked)
		w.Declare(owner("gone"), granting("b"), Asked)
		synctest.Wait()
		w.Close()

		w, _ = world.start(t, func(o *Options) { o.Expected = []record.Ref{owner("orders"), owner("gone")} })
		defer w.Close()
		time.Sleep(2 * absentAfter)
		w.Declare(owner("orders"), granting("a"), Asked)
		time.Sleep(2 * absentAfter)
		synctest.Wait()
		if !world.has("a", "b") || !slices.Equal(w.Report().Waiting, []record.Ref{owner("gone")}) {
			t.Errorf("while one is awaited: %v, %+v", world.bindings, w.Report())
		}
		w.Gone(owner("gone"), Absent)
		time.Sleep(absentAfter - time.Second)
		synctest.Wait()
		if !world.has("a", "b") {
			t.Errorf("before its time: %v", world.bindings)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !world.has("a") {
			t.Errorf("after its time: %v", world.bindings)
		}
	})
}

// A cluster whose authorizer is gone for a moment is not one without grants.
func TestAuthorizerBlinks(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		defer w.Close()
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		entries := maps.Clone(world.entries)
		world.mu.Lock()
		world.list = &kafka.Error{Class: kafka.Rejected, Reason: kafka.AuthorizerDisabled, Message: "no authorizer"}
		world.mu.Unlock()
		w.Sweep()
		w.Gone(owner("orders"), Now)
		w.Declare(owner("other"), granting("b"), Asked)
		synctest.Wait()
		if state := w.State(owner("other")); state.Phase == Disabled {
			t.Errorf("at once: %+v", state)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		wantPhase(t, w, "other", Disabled)
		if diff := cmp.Diff(entries, world.entries); diff != "" {
			t.Errorf("the record (-want +got):\n%s", diff)
		}
		world.mu.Lock()
		world.list = nil
		world.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		wantPhase(t, w, "other", Enforced)
		if !world.has("b") {
			t.Errorf("afterwards: %v", world.bindings)
		}
	})
}

// One binding that is refused is its owners' alone; a failure is tried again,
// and keeps nothing else from being done.
func TestFailures(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, woken := world.start(t)
		defer w.Close()
		w.Declare(owner("old"), granting("old"), Asked)
		synctest.Wait()
		away := true
		world.mu.Lock()
		world.fail = func(binding kafka.Binding) error {
			switch {
			case binding.Name == "bad":
				return &kafka.Error{Class: kafka.Rejected, Reason: kafka.InvalidRequest, Message: "no"}
			case binding.Name == "slow" && away:
				return errAway
			}
			return nil
		}
		world.mu.Unlock()
		w.Declare(owner("bad"), granting("bad", "fine"), Asked)
		w.Declare(owner("slow"), granting("slow"), Asked)
		w.Gone(owner("old"), Now)
		time.Sleep(firstPause / 2)
		synctest.Wait()
		if state := wantPhase(t, w, "bad", Refused); state.Why == nil || state.Binding.Name != "bad" {
			t.Errorf("refused: %+v", state)
		}
		if state := wantPhase(t, w, "slow", Pending); !errors.Is(state.Why, errAway) || !errors.Is(w.Report().Trouble, errAway) {
			t.Errorf("pending: %+v", state)
		}
		if !world.has("fine") {
			t.Errorf("the rest is not done: %v", world.bindings)
		}
		woken.take()
		world.mu.Lock()
		away = false
		world.mu.Unlock()
		time.Sleep(longestPause)
		synctest.Wait()
		wantPhase(t, w, "slow", Enforced)
		if !slices.Contains(woken.take(), "slow") || w.Report().Trouble != nil {
			t.Errorf("nobody was told: %+v", w.Report())
		}
	})
}

// What somebody else removes is put right, and told; again and again is a contest.
func TestDriftAndContest(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		var corrected []string
		w, _ := world.start(t, func(o *Options) {
			o.Corrected = func(_ record.Ref, binding kafka.Binding) { corrected = append(corrected, binding.Name) }
		})
		defer w.Close()
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		for round := 1; round <= contestedAt; round++ {
			wantPhase(t, w, "orders", Enforced)
			world.mu.Lock()
			delete(world.bindings, read("a"))
			world.mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
			if !world.has("a") || len(corrected) != round {
				t.Errorf("round %d: %v, corrected %v", round, world.bindings, corrected)
			}
		}
		wantPhase(t, w, "orders", Contested)
	})
}

// What was there before serves, and stays.
func TestFoundStays(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		world.bindings[read("a")], world.bindings[read("stranger")] = struct{}{}, struct{}{}
		w, _ := world.start(t)
		defer w.Close()
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		wantPhase(t, w, "orders", Enforced)
		w.Gone(owner("orders"), Now)
		time.Sleep(time.Hour)
		synctest.Wait()
		if !world.has("a", "stranger") || len(world.entries) != 0 {
			t.Errorf("left: %v, record %v", world.bindings, world.entries)
		}
	})
}

// Many that were asked for by nobody wait for the platform's word.
func TestBrakeHoldsAndLetsGo(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		defer w.Close()
		var topics []string
		for i := range 30 {
			topics = append(topics, fmt.Sprintf("topic-%02d", i))
		}
		w.Declare(owner("orders"), granting(topics...), Asked)
		synctest.Wait()
		w.Declare(owner("orders"), granting(), Consequence)
		time.Sleep(time.Hour)
		synctest.Wait()
		held := w.Report().Held
		if held == nil || held.Number != 30 || held.Cause != Consequence || !world.has(topics...) {
			t.Fatalf("held %+v, %d bindings", held, len(world.bindings))
		}
		w.Set(Settings{Agreed: held.Digest})
		synctest.Wait()
		if !world.has() || w.Report().Held != nil {
			t.Errorf("let go: %v, %+v", world.bindings, w.Report())
		}
	})
}

// What was asked for before a crash does not count for the brake.
func TestBrakeAfterACrash(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		var topics []string
		for i := range 60 {
			topics = append(topics, fmt.Sprintf("topic-%02d", i))
		}
		w.Declare(owner("orders"), granting(topics...), Asked)
		synctest.Wait()
		w.Declare(owner("orders"), granting(topics[:30]...), Asked)
		synctest.Wait()
		w.Close()
		w, _ = world.start(t)
		defer w.Close()
		w.Declare(owner("orders"), granting(topics[:30]...), Asked)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !world.has(topics[:30]...) {
			t.Fatalf("left after the crash: %d bindings", len(world.bindings))
		}
		w.Declare(owner("orders"), granting(topics[:20]...), Consequence)
		synctest.Wait()
		if held := w.Report().Held; held != nil || !world.has(topics[:20]...) {
			t.Errorf("held %+v, %d bindings", held, len(world.bindings))
		}
	})
}

func TestSuspendedAndAdditive(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		w.Set(Settings{Suspended: true})
		w.Declare(owner("orders"), granting("b"), Now)
		time.Sleep(time.Hour)
		synctest.Wait()
		if !world.has("a") {
			t.Errorf("suspended: %v", world.bindings)
		}
		w.Close()

		w, _ = world.start(t, func(o *Options) { o.Additive = true })
		defer w.Close()
		w.Declare(owner("orders"), granting("b"), Now)
		time.Sleep(time.Hour)
		synctest.Wait()
		if !world.has("a", "b") {
			t.Errorf("additive: %v", world.bindings)
		}
	})
}

// act is one thing that happens in TestAnyCrash.
type act struct {
	owner  int
	topics []string // what it wants from now on; nil: it is gone
	pause  time.Duration
	crash  int // at which request the process dies; 0: it does not
	after  bool
}

// Whatever is declared, and wherever the process dies: in the end Kafka has what
// is wanted and what was there before, and nothing else; and nothing foreign was
// ever touched.
func TestAnyCrash(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		foreign := rapid.SliceOfDistinct(rapid.SampledFrom(names), func(s string) string { return s }).Draw(rt, "foreign")
		acts := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) act {
			a := act{
				owner: rapid.IntRange(0, 2).Draw(rt, "owner"),
				pause: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 6 * time.Second, 11 * time.Minute}).Draw(rt, "pause"),
			}
			if rapid.Bool().Draw(rt, "there") {
				a.topics = rapid.SliceOf(rapid.SampledFrom(names)).Draw(rt, "topics")
				if a.topics == nil {
					a.topics = []string{}
				}
			}
			if rapid.Bool().Draw(rt, "dies") {
				a.crash, a.after = rapid.IntRange(1, 5).Draw(rt, "at"), rapid.Bool().Draw(rt, "after")
			}
			return a
		}), 1, 12).Draw(rt, "acts")
		var fault string
		synctest.Test(t, func(t *testing.T) { fault = live(t, foreign, acts) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// live plays the acts and returns what is wrong in the end.
func live(t *testing.T, foreign []string, acts []act) string {
	world := newWorld()
	for _, topic := range foreign {
		world.bindings[read(topic)] = struct{}{}
	}
	wants := map[int][]string{}
	begin := func() *Writer {
		var expected []record.Ref
		for n, topics := range wants {
			if topics != nil {
				expected = append(expected, owner(fmt.Sprint(n)))
			}
		}
		w, _ := world.start(t, func(o *Options) { o.Expected = expected })
		for n, topics := range wants {
			if topics != nil {
				w.Declare(owner(fmt.Sprint(n)), granting(topics...), Asked)
			}
		}
		return w
	}
	w := begin()
	for _, a := range acts {
		world.mu.Lock()
		world.left, world.after = a.crash, a.after
		world.mu.Unlock()
		wants[a.owner] = a.topics
		if a.topics == nil {
			w.Gone(owner(fmt.Sprint(a.owner)), Asked)
		} else {
			w.Declare(owner(fmt.Sprint(a.owner)), granting(a.topics...), Asked)
		}
		time.Sleep(a.pause)
		synctest.Wait()
		world.mu.Lock()
		dead := world.dead
		for _, topic := range foreign {
			if _, there := world.bindings[read(topic)]; !there {
				world.mu.Unlock()
				w.Close()
				return "the foreign binding on " + topic + " is gone"
			}
		}
		world.left = 0
		world.mu.Unlock()
		if dead {
			w.Close()
			w = begin()
		}
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	w.Close()
	want := map[string]struct{}{}
	for _, topic := range foreign {
		want[topic] = struct{}{}
	}
	for _, topics := range wants {
		for _, topic := range topics {
			want[topic] = struct{}{}
		}
	}
	names := slices.Sorted(maps.Keys(want))
	if !world.has(names...) {
		return fmt.Sprintf("want bindings on %s, have %v; record %v; log %s", names, world.bindings, world.entries, strings.Join(world.log, ", "))
	}
	return ""
}

// What a broker that is behind does not show is neither removed by somebody else nor
// found: the writer looks again.
func TestBrokersThatAreBehind(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		corrected := 0
		w, _ := world.start(t, func(o *Options) { o.Corrected = func(record.Ref, kafka.Binding) { corrected++ } })
		defer w.Close()
		shows := func(bindings ...string) {
			world.mu.Lock()
			defer world.mu.Unlock()
			world.shown = map[kafka.Binding]struct{}{}
			for _, name := range bindings {
				world.shown[read(name)] = struct{}{}
			}
		}
		w.Declare(owner("orders"), granting("a", "b"), Asked)
		synctest.Wait()
		w.Declare(owner("orders"), granting("a"), Now)
		synctest.Wait()
		world.took()

		// It has heard neither of a, nor that b is gone.
		shows("b")
		w.Sweep()
		synctest.Wait()
		wantPhase(t, w, "orders", Enforced)
		w.Declare(owner("other"), granting("b"), Asked)
		synctest.Wait()
		if log := world.took(); !slices.Equal(log, []string{"store", "add b", "store"}) || corrected > 0 {
			t.Errorf("log: %v, %d corrections", log, corrected)
		}

		// What is still missing after a while somebody has removed.
		world.mu.Lock()
		delete(world.bindings, read("a"))
		world.shown = nil
		world.mu.Unlock()
		time.Sleep(brokersLag)
		synctest.Wait()
		if log := world.took(); !slices.Equal(log, []string{"add a"}) || corrected != 1 {
			t.Errorf("log: %v, %d corrections", log, corrected)
		}
	})
}
