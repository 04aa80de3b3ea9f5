package names

import (
	"slices"
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
)

// slot is everything that is known of one name, and of those that Kafka's
// metrics take for it: one claim and one entry mostly, so that a list is smaller
// than a map and as fast.
type slot struct {
	claims []contender // one a resource
	held   []entry
}

// contender is a claim on a name.
type contender struct {
	ref     record.Ref
	created time.Time
	key     record.Key
	rule    string // why it may not have the name; empty where it may
}

// entry is a name in the record; source is its line there, since a group's
// stands for its lane as well.
type entry struct {
	key, source record.Key
	holder      record.Ref
}

// put makes a contender the resource's.
func (s *slot) put(c contender) {
	s.drop(c.ref)
	s.claims = append(s.claims, c)
}

// drop takes the claim of a resource out.
func (s *slot) drop(ref record.Ref) {
	s.claims = slices.DeleteFunc(s.claims, func(c contender) bool { return c.ref == ref })
}

// release takes out what a line of the record says of the name.
func (s *slot) release(source record.Key) {
	s.held = slices.DeleteFunc(s.held, func(e entry) bool { return e.source == source })
}

// holding is a name and who has it.
type holding struct {
	key record.Key
	ref record.Ref
}

// keeps reports whether the record has this name for that resource.
func (s *slot) keeps(ref record.Ref, key record.Key) bool {
	return slices.ContainsFunc(s.held, func(e entry) bool { return e.key == key && e.holder == ref })
}

// holders returns who has the name, each under its own spelling: the resources
// that the record has it for and that still claim it; else the oldest of the
// claims that may have it, which must be of the namespace that let it go; and
// else whoever let it go.
func (s *slot) holders() []holding {
	var kept, left []holding
	for _, e := range s.held {
		h := holding{e.key, e.holder}
		if slices.ContainsFunc(s.claims, func(c contender) bool { return c.ref == e.holder && c.key == e.key }) {
			kept = append(kept, h)
		} else {
			left = append(left, h)
		}
	}
	if len(kept) > 0 {
		return sorted(kept)
	}
	var first *contender
	for i := range s.claims {
		c := &s.claims[i]
		mayHave := c.rule == "" && !slices.ContainsFunc(left, func(h holding) bool {
			return h.ref.Namespace != c.ref.Namespace
		})
		if mayHave && (first == nil || older(*c, *first) < 0) {
			first = c
		}
	}
	if first != nil {
		return []holding{{first.key, first.ref}}
	}
	return sorted(left)
}

func sorted(all []holding) []holding {
	slices.SortFunc(all, func(a, b holding) int {
		if c := compareRefs(a.ref, b.ref); c != 0 {
			return c
		}
		return compareKeys(a.key, b.key)
	})
	return slices.Compact(all)
}
