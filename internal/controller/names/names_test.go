package names_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
)

var (
	start    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	reserved = names.Reserved{{Kind: record.Group, Name: "weir-retry-ab12"}: {}, {Kind: record.Topic, Name: "_schemas"}: {}}
	free     = names.Policy{Free: true}
)

func topic(name string) record.Key { return record.Key{Kind: record.Topic, Name: name} }
func group(name string) record.Key { return record.Key{Kind: record.Group, Name: name} }
func txn(name string) record.Key   { return record.Key{Kind: record.TransactionalID, Name: name} }

func of(kind, namespace, name string) record.Ref {
	return record.Ref{Kind: kind, Namespace: namespace, Name: name}
}

func claim(ref record.Ref, policy names.Policy, age int, keys ...record.Key) names.Claim {
	return names.Claim{
		Ref: ref, Created: start.Add(-time.Duration(age) * time.Hour), Names: keys,
		Allowed: policy.For(ref.Namespace, labels.Set{"team": ref.Namespace}),
	}
}

func heldFor(ref record.Ref) record.Entry { return record.Entry{Phase: record.Held, Holder: ref} }

func TestOwners(t *testing.T) {
	shop, pay := of("Topic", "shop", "orders"), of("Topic", "pay", "orders")
	billing := of("ConsumerGroup", "pay", "billing")
	rules := names.Policy{Rules: []names.Rule{{
		Namespaces: labels.SelectorFromSet(labels.Set{"team": "pay"}),
		Topics:     []string{"${namespace}-*", "legacy"},
		Groups:     []string{"pay-*"},
	}}}
	withLane := func(c names.Claim) names.Claim {
		c.Lane = &record.Lane{Waits: 2}
		return c
	}
	using := func(c names.Claim, uses ...record.Key) names.Claim {
		c.Uses = uses
		return c
	}
	outside := func(key record.Key, why string, kept bool) names.Verdict {
		return names.Verdict{Outcome: names.OutsideRule, Key: key, Why: why, Kept: kept}
	}
	theirs := func(key record.Key, by record.Ref) names.Verdict {
		return names.Verdict{Outcome: names.Theirs, Key: key, By: by}
	}
	mine := names.Verdict{Outcome: names.Mine}

	for _, test := range []struct {
		reason string
		claims []names.Claim
		held   map[record.Key]record.Entry
		exists []record.Key
		want   map[record.Ref]names.Verdict
	}{{
		reason: "a namespace may name what begins with it and a dot",
		claims: []names.Claim{claim(shop, names.Policy{}, 1, topic("shop.orders")), claim(pay, names.Policy{}, 1, topic("shop.payments"))},
		want: map[record.Ref]names.Verdict{
			shop: mine, pay: outside(topic("shop.payments"), "this namespace may name topics pay.*", false),
		},
	}, {
		reason: "rules name prefixes and exact names, and what is left out is nobody's",
		claims: []names.Claim{
			claim(pay, rules, 1, topic("legacy")), claim(shop, rules, 1, topic("shop.orders")),
			claim(billing, rules, 1, group("billing")), claim(of("OutboxRelay", "pay", "r"), rules, 1, txn("pay-x")),
		},
		want: map[record.Ref]names.Verdict{
			pay: mine, shop: mine, billing: outside(group("billing"), "this namespace may name groups pay-*", false),
			of("OutboxRelay", "pay", "r"): outside(txn("pay-x"), "this namespace may name no transactional IDs", false),
		},
	}, {
		reason: "a recorded name is kept outside a new rule, and nobody else gets it",
		claims: []names.Claim{claim(pay, names.Policy{}, 1, topic("old")), claim(shop, free, 2, topic("old"))},
		held:   map[record.Key]record.Entry{topic("old"): heldFor(pay)},
		want: map[record.Ref]names.Verdict{
			pay: outside(topic("old"), "this namespace may name topics pay.*", true), shop: theirs(topic("old"), pay),
		},
	}, {
		reason: "the recorded holder keeps a name against an older resource",
		claims: []names.Claim{claim(pay, free, 1, topic("x")), claim(shop, free, 2, topic("x"))},
		held:   map[record.Key]record.Entry{topic("x"): heldFor(pay)},
		want:   map[record.Ref]names.Verdict{pay: mine, shop: theirs(topic("x"), pay)},
	}, {
		reason: "else the older has it, under any spelling that metrics take for it",
		claims: []names.Claim{claim(pay, free, 1, topic("a.b")), claim(shop, free, 2, topic("a_b"))},
		want:   map[record.Ref]names.Verdict{shop: mine, pay: theirs(topic("a.b"), shop)},
	}, {
		reason: "and else the first by name",
		claims: []names.Claim{claim(shop, free, 1, topic("x")), claim(pay, free, 1, topic("x"))},
		want:   map[record.Ref]names.Verdict{pay: mine, shop: theirs(topic("x"), pay)},
	}, {
		reason: "a name that was let go stays with its namespace",
		claims: []names.Claim{
			claim(pay, free, 9, topic("x")), claim(of("Topic", "shop", "again"), free, 1, topic("x")),
		},
		held: map[record.Key]record.Entry{topic("x"): heldFor(shop)},
		want: map[record.Ref]names.Verdict{
			pay: theirs(topic("x"), of("Topic", "shop", "again")), of("Topic", "shop", "again"): mine,
		},
	}, {
		reason: "also while nobody of that namespace asks for it",
		claims: []names.Claim{claim(pay, free, 9, topic("x"))},
		held:   map[record.Key]record.Entry{topic("x"): heldFor(shop)},
		want:   map[record.Ref]names.Verdict{pay: theirs(topic("x"), shop)},
	}, {
		reason: "a lane is its group's: a Topic cannot take its name",
		claims: []names.Claim{withLane(claim(billing, free, 2, group("billing"))), claim(shop, free, 1, topic("billing.wait.2"))},
		want:   map[record.Ref]names.Verdict{billing: mine, shop: theirs(topic("billing.wait.2"), billing)},
	}, {
		reason: "a lane adopts no topic",
		claims: []names.Claim{withLane(claim(billing, free, 2, group("billing")))},
		exists: []record.Key{topic("billing.dlt")},
		want:   map[record.Ref]names.Verdict{billing: {Outcome: names.Exists, Key: topic("billing.dlt")}},
	}, {
		reason: "but its own are its own",
		claims: []names.Claim{withLane(claim(billing, free, 2, group("billing")))},
		held:   map[record.Key]record.Entry{group("billing"): {Phase: record.Held, Holder: billing, Lane: &record.Lane{Waits: 2}}},
		exists: []record.Key{topic("billing.dlt"), topic("billing.wait.1")},
		want:   map[record.Ref]names.Verdict{billing: mine},
	}, {
		reason: "reserved names are nobody's, however free",
		claims: []names.Claim{
			claim(shop, free, 1, topic("__consumer_offsets")), claim(pay, free, 1, topic(".schemas")),
			claim(billing, free, 1, group("weir-retry-ab12")),
			using(claim(of("Topic", "shop", "t"), free, 1, topic("t")), group("weir-*")),
		},
		want: map[record.Ref]names.Verdict{
			shop:                     outside(topic("__consumer_offsets"), "names that begin with __ are reserved", false),
			pay:                      outside(topic(".schemas"), "_schemas is reserved", false),
			billing:                  outside(group("weir-retry-ab12"), "weir-retry-ab12 is reserved", false),
			of("Topic", "shop", "t"): outside(group("weir-*"), "weir-retry-ab12 is reserved", false),
		},
	}, {
		reason: "a prefix must lie inside a rule's",
		claims: []names.Claim{
			using(claim(shop, names.Policy{}, 1, topic("shop.orders")), group("shop.*"), txn("shop.ledger"), txn("sh*")),
		},
		want: map[record.Ref]names.Verdict{shop: outside(txn("sh*"), "this namespace may name transactional IDs shop.*", false)},
	}, {
		reason: "and covers no name that another namespace has",
		claims: []names.Claim{
			claim(billing, free, 1, group("billing")),
			using(claim(shop, free, 2, topic("shop.orders")), group("bill*")),
			using(claim(of("Topic", "shop", "exact"), free, 2, topic("exact")), group("billing")),
			using(claim(pay, free, 2, topic("pay.orders")), group("billing"), group("*")),
			using(claim(of("Topic", "shop", "longer"), free, 2, topic("longer")), group("billing-eu*"), group("bill")),
		},
		want: map[record.Ref]names.Verdict{
			billing: mine, pay: outside(group("*"), "weir-retry-ab12 is reserved", false),
			shop:                          theirs(group("bill*"), billing),
			of("Topic", "shop", "exact"):  theirs(group("billing"), billing),
			of("Topic", "shop", "longer"): mine,
		},
	}} {
		t.Run(test.reason, func(t *testing.T) {
			exists := func(key record.Key) bool {
				for _, there := range test.exists {
					if key == there {
						return true
					}
				}
				return false
			}
			got := names.Owners(test.claims, reserved, test.held, exists)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}
