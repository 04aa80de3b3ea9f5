package names

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/weir-dev/weir/internal/controller/record"
)

// Book knows all claims on the names of one Kafka cluster and what the record
// has of them. A change costs what it touches, and says whose verdict it may
// have changed. Safe for concurrent use.
type Book struct {
	reserved Reserved

	mu     sync.Mutex
	claims map[record.Ref]Claim
	slots  map[record.Key]*slot
	lines  map[record.Key]record.Entry
	uses   map[record.Key]map[record.Ref]struct{}
	taken  map[record.Kind][]string // names that have a holder, sorted
}

// NewBook returns a Book of what the record has, without claims.
func NewBook(reserved Reserved, held map[record.Key]record.Entry) *Book {
	b := &Book{
		reserved: reserved,
		claims:   map[record.Ref]Claim{},
		slots:    map[record.Key]*slot{},
		lines:    map[record.Key]record.Entry{},
		uses:     map[record.Key]map[record.Ref]struct{}{},
		taken:    map[record.Kind][]string{},
	}
	for key, entry := range held {
		b.Hold(key, &entry)
	}
	return b
}

// Owners judges all claims at once. exists reports whether a topic is there that
// the record does not have for a lane.
func Owners(claims []Claim, reserved Reserved, held map[record.Key]record.Entry, exists func(record.Key) bool) map[record.Ref]Verdict {
	book := NewBook(reserved, held)
	for _, claim := range claims {
		book.Put(claim)
	}
	verdicts := map[record.Ref]Verdict{}
	for _, claim := range claims {
		verdicts[claim.Ref], _ = book.Verdict(claim.Ref, exists)
	}
	return verdicts
}

// Put replaces the claim of a resource. It returns the other resources whose
// verdict may have changed: nobody where the claim says what it said before, or
// two rivals that put theirs in each pass would wake one another for ever.
func (b *Book) Put(claim Claim) []record.Ref {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, claimed := b.claims[claim.Ref]; claimed && reflect.DeepEqual(known, claim) {
		return nil
	}
	changed := affected{}
	after := map[record.Key]contender{}
	for _, n := range claim.names() {
		after[fold(n.key)] = contender{claim.Ref, claim.Created, n.key, b.rule(claim, n)}
	}
	for _, n := range b.claims[claim.Ref].names() {
		if at := fold(n.key); after[at].key == (record.Key{}) {
			b.edit(at, changed, func(s *slot) { s.drop(claim.Ref) })
		}
	}
	for at, c := range after {
		b.edit(at, changed, func(s *slot) { s.put(c) })
	}
	b.unuse(claim.Ref)
	b.claims[claim.Ref] = claim
	for _, use := range claim.Uses {
		if b.uses[use] == nil {
			b.uses[use] = map[record.Ref]struct{}{}
		}
		b.uses[use][claim.Ref] = struct{}{}
	}
	return changed.but(claim.Ref)
}

// Drop takes back the claim of a resource that is gone, or no longer admitted.
// What the record has for it stays with its namespace.
func (b *Book) Drop(ref record.Ref) []record.Ref {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := affected{}
	for _, n := range b.claims[ref].names() {
		b.edit(fold(n.key), changed, func(s *slot) { s.drop(ref) })
	}
	b.unuse(ref)
	delete(b.claims, ref)
	return changed.but(ref)
}

// Hold tells what the record now has of a name; nil: nothing. It returns whose
// verdict may have changed.
func (b *Book) Hold(key record.Key, now *record.Entry) []record.Ref {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := affected{}
	if before, known := b.lines[key]; known {
		for _, held := range heldBy(key, before) {
			b.edit(fold(held), changed, func(s *slot) { s.release(key) })
		}
		delete(b.lines, key)
	}
	if now != nil && key.Kind != record.Binding && now.Holder != (record.Ref{}) {
		b.lines[key] = *now
		for _, held := range heldBy(key, *now) {
			b.edit(fold(held), changed, func(s *slot) { s.held = append(s.held, entry{held, key, now.Holder}) })
		}
	}
	return changed.but(record.Ref{})
}

func heldBy(key record.Key, line record.Entry) []record.Key {
	keys := []record.Key{key}
	if key.Kind == record.Group && line.Lane != nil {
		for _, n := range lane(key, line.Lane) {
			keys = append(keys, n.key)
		}
	}
	return keys
}

// affected are resources whose verdict may have changed.
type affected map[record.Ref]struct{}

func (a affected) but(self record.Ref) []record.Ref {
	delete(a, self)
	return slices.SortedFunc(maps.Keys(a), compareRefs)
}

// edit changes a slot. Where that changes who has the name, all who claim it and
// all who use it are affected.
func (b *Book) edit(at record.Key, changed affected, change func(*slot)) {
	s := b.slots[at]
	if s == nil {
		s = &slot{}
		b.slots[at] = s
	}
	before := s.holders()
	change(s)
	after := s.holders()
	if len(s.claims)+len(s.held) == 0 {
		delete(b.slots, at)
	}
	// Even where the holder stays: the record may now have the name for it.
	for _, c := range s.claims {
		changed[c.ref] = struct{}{}
	}
	if slices.Equal(before, after) {
		return
	}
	for _, h := range before {
		b.free(h.key)
		b.used(h, changed)
	}
	for _, h := range after {
		b.take(h.key)
		b.used(h, changed)
	}
}

func (b *Book) take(key record.Key) {
	if i, found := slices.BinarySearch(b.taken[key.Kind], key.Name); !found {
		b.taken[key.Kind] = slices.Insert(b.taken[key.Kind], i, key.Name)
	}
}

func (b *Book) free(key record.Key) {
	if i, found := slices.BinarySearch(b.taken[key.Kind], key.Name); found {
		b.taken[key.Kind] = slices.Delete(b.taken[key.Kind], i, i+1)
	}
}

// used adds the resources of other namespaces whose patterns cover a name: what
// their own namespace has is no matter to them.
func (b *Book) used(h holding, changed affected) {
	foreign := func(pattern string) {
		for ref := range b.uses[record.Key{Kind: h.key.Kind, Name: pattern}] {
			if ref.Namespace != h.ref.Namespace {
				changed[ref] = struct{}{}
			}
		}
	}
	foreign(h.key.Name)
	for end := range len(h.key.Name) + 1 {
		foreign(h.key.Name[:end] + "*")
	}
}

func (b *Book) unuse(ref record.Ref) {
	for _, use := range b.claims[ref].Uses {
		delete(b.uses[use], ref)
		if len(b.uses[use]) == 0 {
			delete(b.uses, use)
		}
	}
}

func compareKeys(a, b record.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}
