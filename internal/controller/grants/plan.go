package grants

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// The brake: over brakeWindow, more than brakeCount removals that are also more
// than one in brakeShare of what is Weir's are held.
const (
	brakeWindow = 10 * time.Minute
	brakeCount  = 20
	brakeShare  = 5
)

// Question is what PlanGrants decides on.
type Question struct {
	// Want is the union of what all resources want.
	Want Wants
	// Ours are the bindings in the record.
	Ours map[kafka.Binding]record.Entry
	// Have is what the broker shows.
	Have map[kafka.Binding]struct{}
	// Causes say why a binding of ours is not wanted; where silent, what the
	// record says of one that is leaving, and else Absent.
	Causes map[kafka.Binding]Cause
	// Now is the time.
	Now time.Time
	// Removed is how many were removed under the brake in the last ten minutes.
	Removed int
	// Agreed is the digest of removals that the platform let go.
	Agreed string
	// Incomplete: resources that are expected have not been seen yet, so nothing
	// is known to be absent and nothing leaves for that.
	Incomplete bool
	// Additive: nothing is removed, as where another Kubernetes cluster wrote the
	// record. What is wanted no more is leaving meanwhile.
	Additive bool
	// Take makes what was found Weir's: it goes when it is wanted no more.
	Take bool
	// Rebuilt: the record is lost, so that what is granted and there counts as
	// made by Weir.
	Rebuilt bool
}

// Plan is what PlanGrants decided. It is carried out in the order of the
// fields; a crash between two steps loses track of nothing. Slices are sorted.
type Plan struct {
	// Before is stored before the first request.
	Before []record.Change
	// Add is created first, so that nobody who is entitled is locked out.
	Add []kafka.Binding
	// Remove is deleted then. The broker may not show them: then that is harmless.
	Remove []kafka.Binding
	// Held are removals that the brake holds; nil where there are none.
	Held *Held
	// Next is when a removal falls due; zero where none waits for a time.
	Next time.Time
}

// Held describes removals that wait for the platform's word.
type Held struct {
	Number int
	Cause  Cause
	// Digest names exactly these removals.
	Digest string
}

// PlanGrants decides which bindings are added and removed:
//
//	wanted  in the record   on the broker  plan
//	Grant   no              no             store the intent, add
//	Grant   no              yes            store as found
//	Grant   yes             no             add
//	Grant   leaving         whatever       store as held, add where it is not there
//	Keep    leaving         whatever       store as held
//	Keep    else            whatever       nothing; where the record is rebuilt,
//	                                       what is there is stored as held
//	no      found           whatever       store that it is not ours, unless Take
//	no      yes             whatever       store as leaving, remove when due
//	no      no              whatever       nothing: a stranger's
//
// A found binding that is gone is made again where it is granted, and is ours
// from then on.
func PlanGrants(q Question) Plan {
	var plan Plan
	put := func(binding kafka.Binding, entry record.Entry) {
		plan.Before = append(plan.Before, record.Change{Key: key(binding), Entry: &entry})
	}
	for binding, want := range q.Want {
		ours, recorded := q.Ours[binding]
		_, there := q.Have[binding]
		switch {
		case want == Keep && !recorded:
			if there && q.Rebuilt {
				put(binding, record.Entry{Phase: record.Held})
			}
		case want == Keep:
			if ours.Phase == record.Leaving {
				put(binding, stay(ours))
			}
		case !recorded && there:
			put(binding, record.Entry{Phase: record.Held, Found: !q.Rebuilt})
		case there:
			if ours.Phase == record.Leaving {
				put(binding, stay(ours))
			}
		default:
			plan.Add = append(plan.Add, binding)
			if !recorded || ours.Found || ours.Phase == record.Leaving {
				put(binding, record.Entry{Phase: record.Intended})
			}
		}
	}
	var careful []kafka.Binding
	for binding, ours := range q.Ours {
		cause := q.cause(binding)
		if q.Want[binding] != 0 || q.Incomplete && cause == Absent {
			continue
		}
		if ours.Found && !q.Take {
			if !q.Additive {
				plan.Before = append(plan.Before, record.Change{Key: key(binding)})
			}
			continue
		}
		if ours.Phase != record.Leaving {
			ours.Phase, ours.Since, ours.Cause = record.Leaving, q.Now, cause.String()
			put(binding, ours)
		}
		if q.Additive {
			continue
		}
		if due := ours.Since.Add(cause.delay()); due.After(q.Now) {
			plan.Next = sooner(plan.Next, due)
		} else if cause.braked() {
			careful = append(careful, binding)
		} else {
			plan.Remove = append(plan.Remove, binding)
		}
	}
	plan.brake(q, sorted(careful))
	plan.Add, plan.Remove = sorted(plan.Add), sorted(plan.Remove)
	slices.SortFunc(plan.Before, func(a, b record.Change) int { return cmp.Compare(a.Key.Name, b.Key.Name) })
	return plan
}

// brake removes, or holds, what is due and was asked for by nobody.
func (p *Plan) brake(q Question, careful []kafka.Binding) {
	if len(careful) == 0 {
		return
	}
	digest := digest(careful)
	number := q.Removed + len(careful)
	if number <= brakeCount || number*brakeShare <= len(q.Ours)+q.Removed || digest == q.Agreed {
		p.Remove = append(p.Remove, careful...)
		return
	}
	held := Held{Number: len(careful), Digest: digest}
	for _, binding := range careful {
		held.Cause = max(held.Cause, q.cause(binding))
	}
	p.Held = &held
	if q.Removed > 0 {
		p.Next = sooner(p.Next, q.Now.Add(brakeWindow))
	}
}

func (q Question) cause(binding kafka.Binding) Cause { return causeOf(q.Causes, q.Ours, binding) }

// causeOf is why nobody wants a binding: as it was declared, else as an earlier
// process has recorded it.
func causeOf(declared map[kafka.Binding]Cause, ours map[kafka.Binding]record.Entry, binding kafka.Binding) Cause {
	return cmp.Or(declared[binding], causeNamed(ours[binding].Cause), Absent)
}

func stay(entry record.Entry) record.Entry {
	entry.Phase, entry.Since, entry.Cause = record.Held, time.Time{}, ""
	return entry
}

func key(binding kafka.Binding) record.Key {
	return record.Key{Kind: record.Binding, Name: binding.String()}
}

func digest(bindings []kafka.Binding) string {
	sum := sha256.New()
	for _, binding := range bindings {
		sum.Write([]byte(binding.String() + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func sorted(bindings []kafka.Binding) []kafka.Binding {
	return slices.SortedFunc(maps.Keys(set(bindings)), kafka.Binding.Compare)
}

func set(bindings []kafka.Binding) map[kafka.Binding]struct{} {
	all := make(map[kafka.Binding]struct{}, len(bindings))
	for _, binding := range bindings {
		all[binding] = struct{}{}
	}
	return all
}
