package names

import (
	"slices"

	"github.com/weir-dev/weir/internal/controller/record"
)

// slot is everything that is known of one name, and of those that Kafka's
// metrics take for it.
type slot struct {
	claims map[record.Ref]contender
	held   map[entry]record.Ref
}

type contender struct {
	claim Claim
	key   record.Key
	rule  string // why it may not have the name; empty where it may
}

// entry is a name in the record; source is its line there, since a group's
// stands for its lane as well.
type entry struct{ key, source record.Key }

// holding is a name and who has it.
type holding struct {
	key record.Key
	ref record.Ref
}

// keeps reports whether the record has this name for that resource.
func (s *slot) keeps(ref record.Ref, key record.Key) bool {
	for e, holder := range s.held {
		if e.key == key && holder == ref {
			return true
		}
	}
	return false
}

// holders returns who has the name, each under its own spelling: the resources
// that the record has it for and that still claim it; else the oldest of the
// claims that may have it, which must be of the namespace that let it go; and
// else whoever let it go.
func (s *slot) holders() []holding {
	var kept, left []holding
	for e, ref := range s.held {
		h := holding{e.key, ref}
		if c, claimed := s.claims[ref]; claimed && c.key == e.key {
			kept = append(kept, h)
		} else {
			left = append(left, h)
		}
	}
	if len(kept) > 0 {
		return sorted(kept)
	}
	var first *contender
	for _, c := range s.claims {
		mayHave := c.rule == "" && !slices.ContainsFunc(left, func(h holding) bool {
			return h.ref.Namespace != c.claim.Ref.Namespace
		})
		if mayHave && (first == nil || older(c.claim, first.claim) < 0) {
			first = &c
		}
	}
	if first != nil {
		return []holding{{first.key, first.claim.Ref}}
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
