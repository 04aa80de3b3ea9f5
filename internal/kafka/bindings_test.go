package kafka_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestBindingsLifecycle(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	ctx := t.Context()
	topic := env.Unique("orders")
	principal := "User:CN=" + topic + ", OU=Team A"
	grants := slices.Concat(
		kafka.Consume(principal, topic),
		kafka.Produce(principal, topic),
		kafka.ReadGroup(principal, "billing-*"),
		kafka.ProduceTransactional(principal, "ledger-*"),
	)
	shown := func(want ...kafka.Binding) {
		t.Helper()
		env.Await(t, func() string {
			have, err := cluster.Bindings(ctx)
			if err != nil {
				return err.Error()
			}
			var ours []kafka.Binding
			for binding := range have {
				if binding.Principal == principal {
					ours = append(ours, binding)
				}
			}
			for _, binding := range want {
				if !slices.Contains(ours, binding) {
					return "missing " + binding.String()
				}
			}
			if unique := len(setOf(want)); len(ours) != unique {
				return format(ours) + ": too many"
			}
			return ""
		})
	}

	for range 2 { // adding what exists is success
		if err := errors.Join(cluster.CreateBindings(ctx, grants)...); err != nil {
			t.Fatal(err)
		}
	}
	shown(grants...)
	for range 2 { // so is removing what does not
		if err := errors.Join(cluster.DeleteBindings(ctx, grants[1:])...); err != nil {
			t.Fatal(err)
		}
	}
	shown(grants[0])
	if err := errors.Join(cluster.DeleteBindings(ctx, grants)...); err != nil {
		t.Fatal(err)
	}
	shown()

	if err := errors.Join(cluster.CreateBindings(ctx, nil)...); err != nil {
		t.Errorf("adding nothing: %v", err)
	}
	err := errors.Join(cluster.CreateBindings(ctx, []kafka.Binding{{Principal: "billing"}})...)
	wantError(t, err, kafka.Rejected, kafka.InvalidRequest, `principal "billing": want type:name, as in User:billing`)
}

func setOf(bindings []kafka.Binding) map[kafka.Binding]struct{} {
	set := map[kafka.Binding]struct{}{}
	for _, binding := range bindings {
		set[binding] = struct{}{}
	}
	return set
}
