package kafka

import "slices"

// BindingQuestion is what PlanBindings decides on for one owner of bindings, a
// resource with a status.
type BindingQuestion struct {
	// Want is what the owner needs now.
	Want []Binding
	// Recorded is what the owner's status lists: bindings that Weir made.
	Recorded []Binding
	// NeededElsewhere holds what other owners on the cluster need. Only
	// members of Recorded matter.
	NeededElsewhere map[Binding]struct{}
	// RecordedElsewhere holds what the status of other owners on the cluster
	// lists. Only members of Want and Recorded matter.
	RecordedElsewhere map[Binding]struct{}
	// Have is what the broker shows: Cluster.Bindings.
	Have map[Binding]struct{}
}

// BindingPlan is what PlanBindings decided. The owner carries it out in the
// order of the fields, so that a crash between two steps loses track of
// nothing. All slices are sorted and free of duplicates.
type BindingPlan struct {
	// Record is what status must list before Add and Remove.
	Record []Binding
	// Add is created first, so that nobody who is entitled is ever locked out.
	Add []Binding
	// Remove is deleted then. A broker's view follows late, so it may name
	// bindings that Have does not show; removing those is harmless.
	Remove []Binding
	// Keep is what status lists when Add and Remove are done: Record without
	// Remove.
	Keep []Binding
}

// PlanBindings decides which bindings an owner adds, removes and answers for:
//
//	wanted    on the broker  recorded            plan
//	yes       no             whether or not      record, add
//	yes       yes            here or elsewhere   record
//	yes       yes            nowhere             nothing: a stranger's, used but never ours
//	no        whatever       here, needed by an  record until that owner
//	                         owner elsewhere     has recorded it, then let go
//	no        whatever       here, needed by     remove, then let go
//	                         nobody else
//	no        whatever       not here            nothing
func PlanBindings(q BindingQuestion) BindingPlan {
	var (
		plan     BindingPlan
		want     = setOf(q.Want)
		recorded = setOf(q.Recorded)
	)
	for binding := range want {
		if !has(q.Have, binding) {
			plan.Add = append(plan.Add, binding)
			plan.Keep = append(plan.Keep, binding)
		} else if has(recorded, binding) || has(q.RecordedElsewhere, binding) {
			plan.Keep = append(plan.Keep, binding)
		}
	}
	for binding := range recorded {
		switch {
		case has(want, binding):
		case !has(q.NeededElsewhere, binding):
			plan.Remove = append(plan.Remove, binding)
		case !has(q.RecordedElsewhere, binding):
			plan.Keep = append(plan.Keep, binding)
		}
	}
	plan.Add = sortBindings(plan.Add)
	plan.Remove = sortBindings(plan.Remove)
	plan.Keep = sortBindings(plan.Keep)
	plan.Record = sortBindings(slices.Concat(plan.Keep, plan.Remove))
	return plan
}

func setOf(bindings []Binding) map[Binding]struct{} {
	set := make(map[Binding]struct{}, len(bindings))
	for _, binding := range bindings {
		set[binding] = struct{}{}
	}
	return set
}

func has(set map[Binding]struct{}, binding Binding) bool {
	_, ok := set[binding]
	return ok
}
