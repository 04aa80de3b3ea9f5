package grants_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func read(name string) kafka.Binding {
	return kafka.Binding{
		Principal: "User:billing", Host: "*", Operation: kafka.OperationRead,
		Resource: kafka.ResourceTopic, Pattern: kafka.PatternLiteral, Name: name,
	}
}

func change(name string, entry record.Entry) record.Change {
	return record.Change{Key: record.Key{Kind: record.Binding, Name: read(name).String()}, Entry: &entry}
}

func TestPlanGrants(t *testing.T) {
	var (
		a       = read("a")
		there   = map[kafka.Binding]struct{}{a: {}}
		held    = record.Entry{Phase: record.Held}
		found   = record.Entry{Phase: record.Held, Found: true}
		because = func(cause string, entry record.Entry) record.Entry { entry.Cause = cause; return entry }
		leaving = func(ago time.Duration) record.Entry { return record.Entry{Phase: record.Leaving, Since: now.Add(-ago)} }
		ours    = func(entry record.Entry) map[kafka.Binding]record.Entry {
			return map[kafka.Binding]record.Entry{a: entry}
		}
		granted  = grants.Wants{a: grants.Grant}
		kept     = grants.Wants{a: grants.Keep}
		causedBy = func(cause grants.Cause) map[kafka.Binding]grants.Cause {
			return map[kafka.Binding]grants.Cause{a: cause}
		}
		all = []kafka.Binding{a}
	)
	for _, test := range []struct {
		reason string
		q      grants.Question
		want   grants.Plan
	}{{
		"what is missing is intended, then added",
		grants.Question{Want: granted},
		grants.Plan{Before: []record.Change{change("a", record.Entry{Phase: record.Intended})}, Add: all},
	}, {
		"what was there before is found",
		grants.Question{Want: granted, Have: there},
		grants.Plan{Before: []record.Change{change("a", found)}},
	}, {
		"what is recorded and gone is added again",
		grants.Question{Want: granted, Ours: ours(held)},
		grants.Plan{Add: all},
	}, {
		"a found binding that is made again is Weir's",
		grants.Question{Want: granted, Ours: ours(found)},
		grants.Plan{Before: []record.Change{change("a", record.Entry{Phase: record.Intended})}, Add: all},
	}, {
		"a declaration cancels what is leaving",
		grants.Question{Want: granted, Ours: ours(leaving(time.Hour)), Have: there},
		grants.Plan{Before: []record.Change{change("a", held)}},
	}, {
		"what is only kept is not added",
		grants.Question{Want: kept},
		grants.Plan{},
	}, {
		"nor made again, and does not leave",
		grants.Question{Want: kept, Ours: ours(leaving(time.Hour))},
		grants.Plan{Before: []record.Change{change("a", held)}},
	}, {
		"a removal that was asked for waits five seconds",
		grants.Question{Ours: ours(held), Have: there, Causes: causedBy(grants.Asked), Now: now},
		grants.Plan{Before: []record.Change{change("a", because("asked", leaving(0)))}, Next: now.Add(5 * time.Second)},
	}, {
		"and is then paid, also where the broker does not show it",
		grants.Question{Ours: ours(leaving(5 * time.Second)), Causes: causedBy(grants.Asked), Now: now},
		grants.Plan{Remove: all},
	}, {
		"the caller's word removes at once",
		grants.Question{Ours: ours(held), Have: there, Causes: causedBy(grants.Now), Now: now},
		grants.Plan{Before: []record.Change{change("a", because("now", leaving(0)))}, Remove: all},
	}, {
		"what is absent waits ten minutes",
		grants.Question{Ours: ours(held), Have: there, Now: now},
		grants.Plan{Before: []record.Change{change("a", because("absent", leaving(0)))}, Next: now.Add(10 * time.Minute)},
	}, {
		"a restart forgets no cause",
		grants.Question{Ours: ours(because("asked", leaving(5*time.Second))), Have: there, Now: now, Incomplete: true},
		grants.Plan{Remove: all},
	}, {
		"without the record, what is granted was made by Weir",
		grants.Question{Want: granted, Have: there, Rebuilt: true},
		grants.Plan{Before: []record.Change{change("a", held)}},
	}, {
		"and what is only kept, where it is there",
		grants.Question{Want: kept, Have: there, Rebuilt: true},
		grants.Plan{Before: []record.Change{change("a", held)}},
	}, {
		"what is only kept and not recorded is a stranger's",
		grants.Question{Want: kept, Have: there},
		grants.Plan{},
	}, {
		"and does not even leave before all are seen",
		grants.Question{Ours: ours(leaving(time.Hour)), Have: there, Now: now, Incomplete: true},
		grants.Plan{},
	}, {
		"while what was asked for does",
		grants.Question{Ours: ours(leaving(time.Hour)), Have: there, Now: now, Incomplete: true, Causes: causedBy(grants.Asked)},
		grants.Plan{Remove: all},
	}, {
		"another Kubernetes cluster's record loses nothing",
		grants.Question{Ours: ours(leaving(time.Hour)), Have: there, Now: now, Additive: true, Causes: causedBy(grants.Asked)},
		grants.Plan{},
	}, {
		"what was found stays when it is wanted no more",
		grants.Question{Ours: ours(found), Have: there, Now: now, Causes: causedBy(grants.Now)},
		grants.Plan{Before: []record.Change{{Key: record.Key{Kind: record.Binding, Name: a.String()}}}},
	}, {
		"unless the KafkaCluster takes it",
		grants.Question{Ours: ours(found), Have: there, Now: now, Causes: causedBy(grants.Now), Take: true},
		grants.Plan{Before: []record.Change{change("a", record.Entry{Phase: record.Leaving, Found: true, Since: now, Cause: "now"})}, Remove: all},
	}, {
		"a stranger's is never touched",
		grants.Question{Have: there, Causes: causedBy(grants.Now), Take: true},
		grants.Plan{},
	}} {
		t.Run(test.reason, func(t *testing.T) {
			if diff := cmp.Diff(test.want, grants.PlanGrants(test.q)); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

func TestBrake(t *testing.T) {
	ask := func(leave, stay int) grants.Question {
		q := grants.Question{Want: grants.Wants{}, Ours: map[kafka.Binding]record.Entry{}, Now: now, Causes: map[kafka.Binding]grants.Cause{}}
		for i := range leave {
			b := read(fmt.Sprintf("leaves-%d", i))
			q.Ours[b] = record.Entry{Phase: record.Leaving, Since: now.Add(-20 * time.Minute)}
			q.Causes[b] = grants.Consequence
		}
		for i := range stay {
			b := read(fmt.Sprintf("stays-%d", i))
			q.Ours[b], q.Want[b] = record.Entry{Phase: record.Held}, grants.Keep
		}
		return q
	}
	for _, test := range []struct {
		reason               string
		leave, stay, removed int
		held                 int
	}{
		{"twenty are few", 20, 0, 0, 0},
		{"more are many", 21, 0, 0, 21},
		{"a fifth is little", 21, 84, 0, 0},
		{"more is much", 21, 83, 0, 21},
		{"those of the last ten minutes count", 1, 0, 20, 1},
	} {
		t.Run(test.reason, func(t *testing.T) {
			q := ask(test.leave, test.stay)
			q.Removed = test.removed
			plan := grants.PlanGrants(q)
			if plan.Held == nil {
				if test.held > 0 || len(plan.Remove) != test.leave {
					t.Fatalf("removes %d and holds none", len(plan.Remove))
				}
				return
			}
			if plan.Held.Number != test.held || plan.Held.Cause != grants.Consequence || len(plan.Remove) > 0 {
				t.Fatalf("removes %d, holds %+v", len(plan.Remove), plan.Held)
			}
			q.Agreed = plan.Held.Digest
			if plan := grants.PlanGrants(q); plan.Held != nil || len(plan.Remove) != test.leave {
				t.Errorf("let go by its digest, it removes %d and holds %+v", len(plan.Remove), plan.Held)
			}
			q.Ours[read("another")] = record.Entry{Phase: record.Leaving, Since: now.Add(-time.Hour)}
			if plan := grants.PlanGrants(q); plan.Held == nil {
				t.Error("a digest lets go of what it does not name")
			}
		})
	}
	t.Run("what was asked for is never held", func(t *testing.T) {
		q := ask(500, 0)
		for b := range q.Causes {
			q.Causes[b] = grants.Asked
		}
		if plan := grants.PlanGrants(q); plan.Held != nil || len(plan.Remove) != 500 {
			t.Errorf("removes %d, holds %+v", len(plan.Remove), plan.Held)
		}
	})
}

func TestPlanApplied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := grants.Question{
			Want: grants.Wants{}, Ours: map[kafka.Binding]record.Entry{}, Have: map[kafka.Binding]struct{}{},
			Causes: map[kafka.Binding]grants.Cause{}, Now: now,
			Take: rapid.Bool().Draw(t, "take"), Incomplete: rapid.Bool().Draw(t, "incomplete"), Additive: rapid.Bool().Draw(t, "additive"),
		}
		foreign := map[kafka.Binding]struct{}{}
		for i := range 40 {
			b := read(fmt.Sprint(i))
			if want := rapid.IntRange(0, 2).Draw(t, "want"); want > 0 {
				q.Want[b] = grants.Want(want)
			}
			if rapid.Bool().Draw(t, "there") {
				q.Have[b] = struct{}{}
			}
			switch rapid.IntRange(0, 3).Draw(t, "entry") {
			case 0:
				foreign[b] = struct{}{}
			case 1:
				q.Ours[b] = record.Entry{Phase: record.Held, Found: rapid.Bool().Draw(t, "found")}
			case 2:
				q.Ours[b] = record.Entry{Phase: record.Intended}
			case 3:
				q.Ours[b] = record.Entry{Phase: record.Leaving, Since: now.Add(-time.Duration(rapid.IntRange(0, 700).Draw(t, "ago")) * time.Second)}
			}
			q.Causes[b] = grants.Cause(rapid.IntRange(0, 4).Draw(t, "cause"))
		}

		plan := grants.PlanGrants(q)
		for _, c := range plan.Before {
			b, err := kafka.ParseBinding(c.Key.Name)
			if err != nil {
				t.Fatal(err)
			}
			if c.Entry == nil {
				delete(q.Ours, b)
			} else {
				q.Ours[b] = *c.Entry
			}
		}
		for _, b := range plan.Add {
			if q.Want[b] != grants.Grant {
				t.Fatalf("adds %s, which nobody is granted", b)
			}
			if _, recorded := q.Ours[b]; !recorded {
				t.Fatalf("adds %s before the record has it", b)
			}
			q.Have[b] = struct{}{}
		}
		for _, b := range plan.Remove {
			if _, strange := foreign[b]; strange || q.Want[b] != 0 || q.Additive || q.Ours[b].Phase != record.Leaving {
				t.Fatalf("removes %s", b)
			}
			delete(q.Have, b)
			delete(q.Ours, b)
		}
		for b, want := range q.Want {
			if _, there := q.Have[b]; want == grants.Grant && !there {
				t.Fatalf("%s is granted and not there", b)
			}
		}
		q.Removed = len(plan.Remove)
		if again := grants.PlanGrants(q); len(again.Before)+len(again.Add)+len(again.Remove) > 0 {
			t.Fatalf("planned again: %+v", again)
		}
	})
}
