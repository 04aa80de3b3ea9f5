package names

import (
	"slices"
	"strings"

	"github.com/weir-dev/weir/internal/controller/record"
)

// rule says why a claim may not have one of its names; empty where it may. A
// lane follows its group's rule and must only not be reserved.
func (b *Book) rule(claim Claim, n name) string {
	if why := b.reserved.refuses(n.key.Kind, n.key.Name); why != "" || n.lane {
		return why
	}
	if !claim.Allowed.allows(n.key.Kind, n.key.Name) {
		return claim.Allowed.words(n.key.Kind)
	}
	return ""
}

// Use judges a pattern of a name that a resource grants rights on.
func (b *Book) Use(ref record.Ref, use record.Key) Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.judgeUse(b.claims[ref], use)
}

// Claimed says whether a resource claims anything.
func (b *Book) Claimed(ref record.Ref) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, claimed := b.claims[ref]
	return claimed
}

// Verdict judges a claim; false without one. exists reports whether a topic is
// in Kafka; it is asked for topics of lanes alone.
func (b *Book) Verdict(ref record.Ref, exists func(record.Key) bool) (Verdict, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	claim, known := b.claims[ref]
	if !known {
		return Verdict{}, false
	}
	for _, n := range claim.names() {
		if v := b.judge(claim, n, exists); v.Outcome != Mine {
			return v, true
		}
	}
	for _, use := range claim.Uses {
		if v := b.judgeUse(claim, use); v.Outcome != Mine {
			return v, true
		}
	}
	return Verdict{Outcome: Mine}, true
}

func (b *Book) judge(claim Claim, n name, exists func(record.Key) bool) Verdict {
	s := b.slots[fold(n.key)]
	kept := s.keeps(claim.Ref, n.key)
	if why := b.rule(claim, n); why != "" {
		return Verdict{Outcome: OutsideRule, Key: n.key, Why: why, Kept: kept}
	}
	holders := s.holders()
	if !slices.Contains(holders, holding{n.key, claim.Ref}) {
		by := holders[0].ref
		for _, h := range holders {
			if h.key == n.key {
				by = h.ref
			}
		}
		return Verdict{Outcome: Theirs, Key: n.key, By: by}
	}
	if n.lane && !kept && exists(n.key) {
		return Verdict{Outcome: Exists, Key: n.key}
	}
	return Verdict{Outcome: Mine}
}

// judgeUse says first what is another namespace's: what is only outside of a rule
// may have been granted before the rule changed.
func (b *Book) judgeUse(claim Claim, use record.Key) Verdict {
	if why := b.reserved.refuses(use.Kind, use.Name); why != "" {
		return Verdict{Outcome: OutsideRule, Key: use, Why: why}
	}
	prefix, open := strings.CutSuffix(use.Name, "*")
	taken := b.taken[use.Kind]
	first, _ := slices.BinarySearch(taken, prefix)
	for _, name := range taken[first:] {
		if !strings.HasPrefix(name, prefix) || !open && name != prefix {
			break
		}
		key := record.Key{Kind: use.Kind, Name: name}
		for _, h := range b.slots[fold(key)].holders() {
			if h.key == key && h.ref.Namespace != claim.Ref.Namespace {
				return Verdict{Outcome: Theirs, Key: use, By: h.ref}
			}
		}
	}
	if !claim.Allowed.allows(use.Kind, use.Name) {
		return Verdict{Outcome: OutsideRule, Key: use, Why: claim.Allowed.words(use.Kind)}
	}
	return Verdict{Outcome: Mine}
}
