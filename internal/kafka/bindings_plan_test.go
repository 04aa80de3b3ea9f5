package kafka_test

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-dev/weir/internal/kafka"
)

func TestPlanBindings(t *testing.T) {
	t.Parallel()
	var (
		a    = kafka.ReadGroup("User:a", "a")
		none []kafka.Binding
	)
	for _, test := range []struct {
		reason   string
		question kafka.BindingQuestion
		want     kafka.BindingPlan
	}{
		{
			"wanted and absent",
			kafka.BindingQuestion{Want: a},
			kafka.BindingPlan{Record: a, Add: a, Keep: a},
		},
		{
			"somebody deleted it by hand",
			kafka.BindingQuestion{Want: a, Recorded: a},
			kafka.BindingPlan{Record: a, Add: a, Keep: a},
		},
		{
			"wanted, ours, in place",
			kafka.BindingQuestion{Want: a, Recorded: a, Have: setOf(a)},
			kafka.BindingPlan{Record: a, Keep: a},
		},
		{
			"wanted, in place, made for another owner",
			kafka.BindingQuestion{Want: a, RecordedElsewhere: setOf(a), Have: setOf(a)},
			kafka.BindingPlan{Record: a, Keep: a},
		},
		{
			"wanted, in place, a stranger's",
			kafka.BindingQuestion{Want: a, Have: setOf(a)},
			kafka.BindingPlan{},
		},
		{
			"not wanted any more",
			kafka.BindingQuestion{Recorded: a, Have: setOf(a)},
			kafka.BindingPlan{Record: a, Remove: a},
		},
		{
			"not wanted any more before the broker has shown it",
			kafka.BindingQuestion{Recorded: a},
			kafka.BindingPlan{Record: a, Remove: a},
		},
		{
			"not wanted here, needed by an owner that has recorded it",
			kafka.BindingQuestion{Recorded: a, NeededElsewhere: setOf(a), RecordedElsewhere: setOf(a), Have: setOf(a)},
			kafka.BindingPlan{},
		},
		{
			"not wanted here, needed by an owner that has not recorded it yet",
			kafka.BindingQuestion{Recorded: a, NeededElsewhere: setOf(a), Have: setOf(a)},
			kafka.BindingPlan{Record: a, Keep: a},
		},
		{
			"somebody else's affair",
			kafka.BindingQuestion{NeededElsewhere: setOf(a), RecordedElsewhere: setOf(a), Have: setOf(a)},
			kafka.BindingPlan{},
		},
		{
			"named twice",
			kafka.BindingQuestion{Want: append(a, a...), Recorded: none},
			kafka.BindingPlan{Record: a, Add: a, Keep: a},
		},
	} {
		if diff := cmp.Diff(test.want, kafka.PlanBindings(test.question)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

// world is a cluster, its strangers and the owners of bindings.
type world struct {
	broker    map[kafka.Binding]struct{}
	strangers map[kafka.Binding]struct{}
	owners    []owner
}

type owner struct{ want, status map[kafka.Binding]struct{} }

// pass is one reconcile of an owner, which crashes before step crashAt. shown
// tells whether the broker shows a binding already.
func (w *world) pass(t *testing.T, i, crashAt int, shown func() bool) kafka.BindingPlan {
	t.Helper()
	have := map[kafka.Binding]struct{}{}
	for binding := range w.broker {
		if _, old := w.strangers[binding]; old || shown() {
			have[binding] = struct{}{}
		}
	}
	needed, recorded := map[kafka.Binding]struct{}{}, map[kafka.Binding]struct{}{}
	for j, other := range w.owners {
		if j != i {
			maps.Copy(needed, other.want)
			maps.Copy(recorded, other.status)
		}
	}
	self := &w.owners[i]
	plan := kafka.PlanBindings(kafka.BindingQuestion{
		Want: keys(self.want), Recorded: keys(self.status),
		NeededElsewhere: needed, RecordedElsewhere: recorded, Have: have,
	})
	for _, binding := range plan.Remove {
		if _, ok := needed[binding]; ok {
			t.Fatalf("removes %s, which another owner needs", binding)
		}
		if _, ok := self.status[binding]; !ok {
			t.Fatalf("removes %s, which it had not recorded", binding)
		}
	}
	steps := []func(){
		func() { self.status = setOf(plan.Record) },
		func() { maps.Copy(w.broker, setOf(plan.Add)) },
		func() {
			for _, binding := range plan.Remove {
				delete(w.broker, binding)
			}
		},
		func() { self.status = setOf(plan.Keep) },
	}
	for n, step := range steps {
		if n == crashAt {
			return plan
		}
		step()
		for binding := range w.strangers {
			if _, ok := w.broker[binding]; !ok {
				t.Fatalf("a stranger's %s is gone", binding)
			}
		}
	}
	return plan
}

// TestPlanBindingsConverges changes wishes at random, crashes passes between
// any two steps and hides fresh bindings from the broker's view. When all is
// quiet, the broker shows what is wanted and the strangers' bindings, nothing
// else; everybody who wants a binding that Weir made answers for it, so that any
// of them may go; and there is nothing left to plan.
func TestPlanBindingsConverges(t *testing.T) {
	t.Parallel()
	const noCrash = -1
	var universe []kafka.Binding
	for i := range 5 {
		universe = append(universe, kafka.ReadGroup("User:a", strconv.Itoa(i))...)
	}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(2, seed))
		some := func() map[kafka.Binding]struct{} {
			set := map[kafka.Binding]struct{}{}
			for _, binding := range universe {
				if random.IntN(3) == 0 {
					set[binding] = struct{}{}
				}
			}
			return set
		}
		strangers := some()
		w := &world{broker: maps.Clone(strangers), strangers: strangers, owners: make([]owner, 3)}
		for range 30 {
			i := random.IntN(len(w.owners))
			if random.IntN(2) == 0 {
				w.owners[i].want = some()
			}
			w.pass(t, i, random.IntN(5), func() bool { return random.IntN(3) > 0 })
		}

		always := func() bool { return true }
		for range 2 {
			for i := range w.owners {
				w.pass(t, i, noCrash, always)
			}
		}
		want := maps.Clone(strangers)
		recorded := map[kafka.Binding]struct{}{}
		for i, owner := range w.owners {
			maps.Copy(want, owner.want)
			maps.Copy(recorded, owner.status)
			for binding := range owner.want {
				_, old := strangers[binding]
				if _, ours := owner.status[binding]; old == ours {
					t.Fatalf("seed %d: owner %d wants %s: a stranger's %t, recorded %t", seed, i, binding, old, ours)
				}
			}
			status := maps.Clone(owner.status)
			if plan := w.pass(t, i, noCrash, always); len(plan.Add)+len(plan.Remove) > 0 {
				t.Fatalf("seed %d: owner %d planned again: %+v", seed, i, plan)
			}
			if diff := cmp.Diff(status, w.owners[i].status); diff != "" {
				t.Fatalf("seed %d: owner %d records something else again:\n%s", seed, i, diff)
			}
		}
		if diff := cmp.Diff(want, w.broker); diff != "" {
			t.Fatalf("seed %d: broker (-want +got):\n%s", seed, diff)
		}
		for binding := range w.broker {
			_, old := strangers[binding]
			if _, ours := recorded[binding]; old == ours {
				t.Fatalf("seed %d: %s: a stranger's %t, recorded %t", seed, binding, old, ours)
			}
		}
	}
}

func keys(set map[kafka.Binding]struct{}) []kafka.Binding {
	var keys []kafka.Binding
	for binding := range set {
		keys = append(keys, binding)
	}
	return keys
}
