package controller

import (
	"context"
	"errors"
	"slices"

	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// granter makes the ACL bindings of a cluster follow what resources need.
type granter struct {
	settle.Settler
	ledger *ledger
}

// grantResult says what a call of grant has done.
type grantResult struct {
	// disabled: the cluster has no authorizer, so that nothing is enforced.
	disabled bool
	added    []kafka.Binding
}

// grant makes want the bindings of owner: it records them in status, adds what
// is missing, then removes what neither owner nor anybody else needs any more.
// It writes nothing where nothing differs, and asks the cluster only where
// something seems to. Errors are halts.
func (g granter) grant(ctx context.Context, cluster string, connection *kafka.Cluster, before, owner settle.Object, want []kafka.Binding) (result grantResult, err error) {
	pledge, err := g.ledger.plan(ctx, cluster, connection, owner, want, false)
	for pledge == nil && err == nil {
		err = g.ledger.fetch(ctx, cluster, connection)
		if disabled(err) {
			return grantResult{disabled: true}, nil
		}
		if err != nil {
			return grantResult{}, halt.Kafka(err)
		}
		pledge, err = g.ledger.plan(ctx, cluster, connection, owner, want, true)
	}
	if err != nil {
		return grantResult{}, err
	}
	defer func() { pledge.finish(err) }()

	if !pledge.certain {
		if record := formatBindings(pledge.Record); !containsAll(*managedBindings(owner), record) {
			*managedBindings(owner) = record
		}
		if err := g.Record(ctx, before, owner); err != nil {
			return grantResult{}, err
		}
		pledge.wrote()
	}
	if err := connection.AddBindings(ctx, pledge.Add); err != nil {
		return grantResult{}, halt.Kafka(err)
	}
	if err := connection.RemoveBindings(ctx, pledge.Remove); err != nil {
		return grantResult{}, halt.Kafka(err)
	}
	*managedBindings(owner) = formatBindings(pledge.Keep)
	return grantResult{added: pledge.Add}, nil
}

// withdraw takes back what owner was granted on topics whose owners do not
// consent any more, and leaves its other grants as they are.
func (g granter) withdraw(ctx context.Context, cluster string, connection *kafka.Cluster, before, owner settle.Object, topics []string) error {
	recorded, err := parseBindings(*managedBindings(owner))
	if err != nil {
		return err
	}
	keep := slices.DeleteFunc(slices.Clone(recorded), func(binding kafka.Binding) bool {
		return binding.Resource == kafka.ResourceTopic && slices.Contains(topics, binding.Name)
	})
	if len(keep) == len(recorded) {
		return nil
	}
	_, err = g.grant(ctx, cluster, connection, before, owner, keep)
	return err
}

// containsAll says whether lines lists everything that is wanted.
func containsAll(lines, wanted []string) bool {
	listed := make(map[string]struct{}, len(lines))
	for _, line := range lines {
		listed[line] = struct{}{}
	}
	for _, line := range wanted {
		if _, ok := listed[line]; !ok {
			return false
		}
	}
	return true
}

func disabled(err error) bool {
	classified, ok := errors.AsType[*kafka.Error](err)
	return ok && classified.Reason == kafka.AuthorizerDisabled
}
