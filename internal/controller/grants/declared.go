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
	owners   map[record.Ref]Wants
	wanted   map[kafka.Binding]map[record.Ref]Want
	union    Wants
	causes   map[kafka.Binding]Cause
	expected map[record.Ref]struct{}
}

// NewDeclared returns one that expects these resources: until each has been
// declared, or is said to be gone, it is not Complete. Whoever expects a
// resource that is there no more must say Gone(owner, Absent) for it.
func NewDeclared(expected []record.Ref) *Declared {
	d := &Declared{
		owners:   map[record.Ref]Wants{},
		wanted:   map[kafka.Binding]map[record.Ref]Want{},
		union:    Wants{},
		causes:   map[kafka.Binding]Cause{},
		expected: map[record.Ref]struct{}{},
	}
	for _, owner := range expected {
		d.expected[owner] = struct{}{}
	}
	return d
}

// Declare replaces what a resource wants. It keeps the wants; the caller does
// not change them afterwards. The cause is why it lets go of what is no longer
// among them.
func (d *Declared) Declare(owner record.Ref, wants Wants, cause Cause) {
	delete(d.expected, owner)
	before := d.owners[owner]
	d.owners[owner] = wants
	for binding, want := range wants {
		if d.wanted[binding] == nil {
			d.wanted[binding] = map[record.Ref]Want{}
		}
		d.wanted[binding][owner] = want
		delete(d.causes, binding)
		d.unite(binding)
	}
	for binding := range before {
		if wants[binding] != 0 {
			continue
		}
		delete(d.wanted[binding], owner)
		if len(d.wanted[binding]) == 0 {
			d.causes[binding] = cause
		}
		d.unite(binding)
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

// Of returns what a resource has declared, and whether it has.
func (d *Declared) Of(owner record.Ref) (Wants, bool) {
	wants, ok := d.owners[owner]
	return wants, ok
}

// Wants returns what all resources want together. Read only, until the next change.
func (d *Declared) Wants() Wants { return d.union }

// Causes say why nobody wants a binding any more; those that nobody wanted since
// the start have none. Read only, until the next change.
func (d *Declared) Causes() map[kafka.Binding]Cause { return d.causes }

func (d *Declared) unite(binding kafka.Binding) {
	var most Want
	for _, want := range d.wanted[binding] {
		most = max(most, want)
	}
	if most == 0 {
		delete(d.wanted, binding)
		delete(d.union, binding)
		return
	}
	d.union[binding] = most
}
