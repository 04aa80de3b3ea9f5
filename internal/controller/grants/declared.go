package grants

import (
	"cmp"
	"maps"
	"slices"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Declared is what the resources of a cluster want, put together. A change costs
// what the resource that changed contributes. Not safe for concurrent use.
type Declared struct {
	owners   map[record.Ref]wishes
	wanters  map[kafka.Binding][]record.Ref
	union    Wants
	causes   map[kafka.Binding]Cause
	expected map[record.Ref]struct{}
}

// NewDeclared returns one that expects these resources: until each has been
// declared, or is said to be gone, it is not Complete. Whoever expects a
// resource that is there no more must say Gone(owner, Absent) for it.
func NewDeclared(expected []record.Ref) *Declared {
	d := &Declared{
		owners:   map[record.Ref]wishes{},
		wanters:  map[kafka.Binding][]record.Ref{},
		union:    Wants{},
		causes:   map[kafka.Binding]Cause{},
		expected: map[record.Ref]struct{}{},
	}
	for _, owner := range expected {
		d.expected[owner] = struct{}{}
	}
	return d
}

// wishes are what one resource wants, sorted: few mostly, for which a list takes a
// quarter of a map's memory.
type wishes []wish

type wish struct {
	binding kafka.Binding
	want    Want
}

func wishesOf(wants Wants) wishes {
	all := make(wishes, 0, len(wants))
	for binding, want := range wants {
		all = append(all, wish{binding, want})
	}
	slices.SortFunc(all, func(a, b wish) int { return a.binding.Compare(b.binding) })
	return all
}

// of is how much of a binding is wanted; zero where nothing is.
func (w wishes) of(binding kafka.Binding) Want {
	at, found := slices.BinarySearchFunc(w, binding, func(one wish, binding kafka.Binding) int { return one.binding.Compare(binding) })
	if !found {
		return 0
	}
	return w[at].want
}

// Declare replaces what a resource wants. The cause is why it lets go of what is no
// longer among it.
func (d *Declared) Declare(owner record.Ref, wants Wants, cause Cause) {
	delete(d.expected, owner)
	before := d.owners[owner]
	d.owners[owner] = wishesOf(wants)
	for binding := range wants {
		if before.of(binding) == 0 {
			d.wanters[binding] = append(d.wanters[binding], owner)
		}
		delete(d.causes, binding)
		d.unite(binding)
	}
	for _, one := range before {
		if wants[one.binding] != 0 {
			continue
		}
		d.wanters[one.binding] = slices.DeleteFunc(d.wanters[one.binding], func(ref record.Ref) bool { return ref == owner })
		if len(d.wanters[one.binding]) == 0 {
			d.causes[one.binding] = cause
		}
		d.unite(one.binding)
	}
}

// Gone says that a resource wants nothing any more, and why.
func (d *Declared) Gone(owner record.Ref, cause Cause) {
	d.Declare(owner, nil, cause)
	delete(d.owners, owner)
}

// Forget drops the cause of a binding that has left.
func (d *Declared) Forget(binding kafka.Binding) { delete(d.causes, binding) }

// Complete reports whether all expected resources were declared or are gone.
func (d *Declared) Complete() bool { return len(d.expected) == 0 }

// Waiting are the expected resources that have not been declared yet.
func (d *Declared) Waiting() []record.Ref {
	return slices.SortedFunc(maps.Keys(d.expected), compareRefs)
}

func compareRefs(a, b record.Ref) int { return cmp.Compare(a.String(), b.String()) }

// Has says whether a resource has declared just these wants.
func (d *Declared) Has(owner record.Ref, wants Wants) bool {
	declared, known := d.owners[owner]
	return known && len(declared) == len(wants) && !slices.ContainsFunc(declared, func(one wish) bool { return wants[one.binding] != one.want })
}

// Knows says whether a resource has declared anything, if only that it wants
// nothing.
func (d *Declared) Knows(owner record.Ref) bool {
	_, known := d.owners[owner]
	return known
}

// Wants returns what all resources want together. Read only, until the next change.
func (d *Declared) Wants() Wants { return d.union }

// Causes say why nobody wants a binding any more; those that nobody wanted since
// the start have none. Read only, until the next change.
func (d *Declared) Causes() map[kafka.Binding]Cause { return d.causes }

func (d *Declared) unite(binding kafka.Binding) {
	var most Want
	for _, owner := range d.wanters[binding] {
		most = max(most, d.owners[owner].of(binding))
	}
	if most == 0 {
		delete(d.wanters, binding)
		delete(d.union, binding)
		return
	}
	d.union[binding] = most
}
