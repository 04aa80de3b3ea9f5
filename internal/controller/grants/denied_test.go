package grants

import (
	"testing"
	"testing/synctest"

	"github.com/weir-dev/weir/internal/kafka"
)

func TestDefeats(t *testing.T) {
	t.Parallel()
	allowed := kafka.Consume("User:a", "shop.orders")[0]
	prefixed := kafka.ReadGroup("User:a", "shop.*")[0]
	deny := func(of kafka.Binding, change func(*kafka.Binding)) kafka.Binding {
		change(&of)
		return of
	}
	for _, test := range []struct {
		name    string
		denied  kafka.Binding
		allowed kafka.Binding
		want    bool
	}{
		{"the same", allowed, allowed, true},
		{"everybody", deny(allowed, func(b *kafka.Binding) { b.Principal = "User:*" }), allowed, true},
		{"another user", deny(allowed, func(b *kafka.Binding) { b.Principal = "User:b" }), allowed, false},
		{"all operations", deny(allowed, func(b *kafka.Binding) { b.Operation = kafka.OperationAll }), allowed, true},
		{"to see it", deny(allowed, func(b *kafka.Binding) { b.Operation = kafka.OperationDescribe }), allowed, true},
		{"another operation", deny(allowed, func(b *kafka.Binding) { b.Operation = kafka.OperationWrite }), allowed, false},
		{"every topic", deny(allowed, func(b *kafka.Binding) { b.Name = "*" }), allowed, true},
		{"a prefix", deny(allowed, func(b *kafka.Binding) { b.Pattern, b.Name = kafka.PatternPrefixed, "shop." }), allowed, true},
		{"another prefix", deny(allowed, func(b *kafka.Binding) { b.Pattern, b.Name = kafka.PatternPrefixed, "shop-" }), allowed, false},
		{"another topic", deny(allowed, func(b *kafka.Binding) { b.Name = "shop.order" }), allowed, false},
		{"a group of that name", deny(allowed, func(b *kafka.Binding) { b.Resource = kafka.ResourceGroup }), allowed, false},
		{"from one host", deny(allowed, func(b *kafka.Binding) { b.Host = "10.0.0.1" }), allowed, false},
		{"a wider prefix", deny(prefixed, func(b *kafka.Binding) { b.Name = "sh" }), prefixed, true},
		{"a part of a prefix", deny(prefixed, func(b *kafka.Binding) { b.Name = "shop.a" }), prefixed, false},
		{"one of a prefix", deny(prefixed, func(b *kafka.Binding) { b.Pattern, b.Name = kafka.PatternLiteral, "shop." }), prefixed, false},
		{"every group", deny(prefixed, func(b *kafka.Binding) { b.Pattern, b.Name = kafka.PatternLiteral, "*" }), prefixed, true},
	} {
		if got := defeats(test.denied, test.allowed); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// What somebody denies is told, and goes when the denial does; it is never touched.
func TestDenied(t *testing.T) {
	in(t, func(t *testing.T) {
		world := newWorld()
		w, _ := world.start(t)
		defer w.Close()
		w.Declare(owner("orders"), granting("a"), Asked)
		synctest.Wait()
		deny := func(denials ...string) {
			world.mu.Lock()
			world.denials = map[kafka.Binding]struct{}{}
			for _, name := range denials {
				world.denials[read(name)] = struct{}{}
			}
			world.mu.Unlock()
			w.Sweep()
			synctest.Wait()
		}
		deny("b")
		wantPhase(t, w, "orders", Enforced)
		deny("a")
		if state := wantPhase(t, w, "orders", Denied); state.Binding != read("a") {
			t.Errorf("denied by %s", state.Binding)
		}
		deny()
		wantPhase(t, w, "orders", Enforced)
		if !world.has("a") {
			t.Errorf("Kafka has %v", world.bindings)
		}
	})
}
