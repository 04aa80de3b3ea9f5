package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// Granter makes the ACL bindings of a cluster follow what resources need.
type Granter struct {
	settler settle.Settler
	*Ledger
}

// New relies on a view of a cluster's bindings until it is older than fresh.
func New(settler settle.Settler, reader client.Reader, fresh time.Duration) Granter {
	return Granter{settler, newLedger(reader, fresh)}
}

// Result says what a call of grant has done.
type Result struct {
	// Disabled: the cluster has no authorizer, so that nothing is enforced.
	Disabled bool
	Added    []kafka.Binding
}

// Grant makes want the bindings of owner: it records them in status, adds what
// is missing, then removes what neither owner nor anybody else needs any more.
// It writes nothing where nothing differs, and asks the cluster only where
// something seems to. Errors are halts.
func (g Granter) Grant(ctx context.Context, cluster string, connection *kafka.Cluster, before, owner settle.Object, want []kafka.Binding) (result Result, err error) {
	pledge, err := g.plan(ctx, cluster, connection, owner, want, false)
	for pledge == nil && err == nil {
		err = g.Fetch(ctx, cluster, connection)
		if Disabled(err) {
			return Result{Disabled: true}, nil
		}
		if err != nil {
			return Result{}, halt.Kafka(err)
		}
		pledge, err = g.plan(ctx, cluster, connection, owner, want, true)
	}
	if err != nil {
		return Result{}, err
	}
	defer func() { pledge.finish(err) }()

	if !pledge.certain {
		if record := formatBindings(pledge.Record); !containsAll(*managedBindings(owner), record) {
			*managedBindings(owner) = record
		}
		if err := g.settler.Record(ctx, before, owner); err != nil {
			return Result{}, err
		}
		pledge.wrote()
	}
	if err := connection.AddBindings(ctx, pledge.Add); err != nil {
		return Result{}, halt.Kafka(err)
	}
	if err := connection.RemoveBindings(ctx, pledge.Remove); err != nil {
		return Result{}, halt.Kafka(err)
	}
	*managedBindings(owner) = formatBindings(pledge.Keep)
	return Result{Added: pledge.Add}, nil
}

// Withdraw takes back what owner was granted on topics whose owners do not
// consent any more, and leaves its other grants as they are.
func (g Granter) Withdraw(ctx context.Context, cluster string, connection *kafka.Cluster, before, owner settle.Object, topics []string) error {
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
	_, err = g.Grant(ctx, cluster, connection, before, owner, keep)
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

// Disabled says whether an error means that the cluster has no authorizer.
func Disabled(err error) bool {
	classified, ok := errors.AsType[*kafka.Error](err)
	return ok && classified.Reason == kafka.AuthorizerDisabled
}

// Revoke takes back everything that obj was granted.
func (g Granter) Revoke(ctx context.Context, cluster string, connection *kafka.Cluster, before, obj settle.Object) error {
	granted, err := g.Grant(ctx, cluster, connection, before, obj, nil)
	if err == nil && !granted.Disabled && len(*managedBindings(obj)) > 0 {
		// Somebody else needs them too and has not recorded them yet.
		return halt.Soon(settle.ConflictRetry, halt.Progress("another resource is taking over ACL bindings of this one"))
	}
	return err
}

// Tell emits an event where somebody else had removed bindings of ours.
func (g Granter) Tell(before, obj settle.Object, granted Result) {
	if !settle.WasReady(before) {
		return
	}
	recorded := *managedBindings(before)
	for _, binding := range granted.Added {
		if slices.Contains(recorded, binding.String()) {
			g.settler.Event(obj, "DriftCorrected", "Grant", "somebody else removed an ACL binding; put right: %s", binding)
		}
	}
}
