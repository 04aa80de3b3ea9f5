package names_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
)

var (
	drawName = rapid.SampledFrom([]string{"a.b", "a_b", "a.x", "b.a", "g", "g.failed", "g.wait.1", "g_dlt", "__x"})
	drawRef  = rapid.Custom(func(t *rapid.T) record.Ref {
		return of(rapid.SampledFrom([]string{"Topic", "ConsumerGroup"}).Draw(t, "kind"),
			rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"))
	})
	drawClaim = rapid.Custom(func(t *rapid.T) names.Claim {
		ref := drawRef.Draw(t, "ref")
		policy := names.Policy{Free: rapid.Bool().Draw(t, "free")}
		key := record.Key{Kind: record.Topic, Name: drawName.Draw(t, "name")}
		if ref.Kind == "ConsumerGroup" {
			key.Kind = record.Group
		}
		c := claim(ref, policy, rapid.IntRange(0, 2).Draw(t, "age"), key)
		if rapid.Bool().Draw(t, "lane") {
			c.Lane = &record.Lane{Waits: rapid.IntRange(0, 2).Draw(t, "waits")}
		}
		if rapid.Bool().Draw(t, "uses") {
			c.Uses = []record.Key{group(rapid.SampledFrom([]string{"*", "a.*", "a*", "g", "g*", "a.b"}).Draw(t, "use"))}
		}
		return c
	})
)

func TestBookFollowsOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exists := func(key record.Key) bool { return key.Name == "g.dlt" }
		book := names.NewBook(nil, nil)
		claims := map[record.Ref]names.Claim{}
		held := map[record.Key]record.Entry{}
		before := map[record.Ref]names.Verdict{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			var told []record.Ref
			var self record.Ref
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				c := drawClaim.Draw(t, "claim")
				self, claims[c.Ref] = c.Ref, c
				told = book.Put(c)
			case 2:
				self = drawRef.Draw(t, "gone")
				delete(claims, self)
				told = book.Drop(self)
			case 3:
				key := record.Key{
					Kind: rapid.SampledFrom([]record.Kind{record.Topic, record.Group}).Draw(t, "kind"), Name: drawName.Draw(t, "held"),
				}
				if rapid.Bool().Draw(t, "forget") {
					delete(held, key)
					told = book.Hold(key, nil)
					break
				}
				line := heldFor(drawRef.Draw(t, "holder"))
				if key.Kind == record.Group && rapid.Bool().Draw(t, "lane") {
					line.Lane = &record.Lane{Waits: 1}
				}
				held[key] = line
				told = book.Hold(key, &line)
			}

			want := names.Owners(slices.Collect(maps.Values(claims)), nil, held, exists)
			got := map[record.Ref]names.Verdict{}
			for ref := range claims {
				got[ref], _ = book.Verdict(ref, exists)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal("the book differs (-owners +book):\n" + diff)
			}
			for ref, verdict := range got {
				if was, known := before[ref]; known && was != verdict && ref != self && !slices.Contains(told, ref) {
					t.Fatalf("%s was %+v, is %+v, and only %v were told", ref, was, verdict, told)
				}
			}
			before = got
		}
	})
}

func TestOneOwnerOfAName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := map[record.Ref]names.Claim{}
		for _, c := range rapid.SliceOfN(drawClaim, 1, 8).Draw(t, "claims") {
			claims[c.Ref] = c
		}
		verdicts := names.Owners(slices.Collect(maps.Values(claims)), nil, nil, func(record.Key) bool { return false })
		owner := map[record.Key]record.Ref{}
		for ref, verdict := range verdicts {
			if verdict.Outcome != names.Mine {
				continue
			}
			for _, key := range claims[ref].Names {
				if other, taken := owner[key]; taken {
					t.Fatalf("%v is of both %s and %s", key, ref, other)
				}
				owner[key] = ref
			}
		}
	})
}

func TestBookOfTenThousand(t *testing.T) {
	book := names.NewBook(nil, nil)
	for i := range 10_000 {
		c := claim(of("Topic", "shop", fmt.Sprint(i)), names.Policy{}, i, topic(fmt.Sprintf("shop.%d", i)))
		c.Uses = []record.Key{group("shop.*")}
		if told := book.Put(c); len(told) > 0 {
			t.Fatalf("topic %d changed the verdict of %v", i, told)
		}
	}
	own := claim(of("ConsumerGroup", "shop", "g"), names.Policy{}, 1, group("shop.g"))
	if told := book.Put(own); len(told) > 0 {
		t.Errorf("a group that its own namespace's patterns cover was told to %d topics", len(told))
	}
	foreign := claim(of("ConsumerGroup", "pay", "g"), free, 1, group("shop.h"))
	if told := book.Put(foreign); len(told) != 10_000 {
		t.Errorf("a group of another namespace that 10000 patterns cover was told to %d of them", len(told))
	}
}

// A pass that claims what was claimed before concerns nobody.
func TestSameClaimAgainAffectsNobody(t *testing.T) {
	t.Parallel()
	book := names.NewBook(nil, nil)
	claims := []names.Claim{}
	for _, name := range []string{"a", "b"} {
		claims = append(claims, names.Claim{
			Ref: record.Ref{Kind: "Topic", Namespace: "shop", Name: name}, Created: time.Unix(1, 0),
			Allowed: names.Policy{}.For("shop", nil), Names: []record.Key{{Kind: record.Topic, Name: "shop.orders"}},
		})
		book.Put(claims[len(claims)-1])
	}
	for _, claim := range claims {
		claim.Names = slices.Clone(claim.Names)
		if affected := book.Put(claim); len(affected) > 0 {
			t.Errorf("%s claims the same again, and %v are affected", claim.Ref, affected)
		}
	}
	claims[0].Names = []record.Key{{Kind: record.Topic, Name: "shop.payments"}}
	if affected := book.Put(claims[0]); !slices.Equal(affected, []record.Ref{claims[1].Ref}) {
		t.Errorf("a claims another name, and %v are affected", affected)
	}
}
