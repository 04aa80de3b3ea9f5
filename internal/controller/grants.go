package controller

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/kafka"
)

// granter makes the ACL bindings of a cluster follow what resources need.
type granter struct {
	settler
	ledger *ledger
	views  *views
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
func (g granter) grant(ctx context.Context, cluster string, connection *kafka.Cluster, before, owner client.Object, want []kafka.Binding) (grantResult, error) {
	have, known := g.views.latest(cluster, g.resync)
	plan, err := g.ledger.plan(ctx, cluster, owner, want, have)
	if err != nil {
		return grantResult{}, err
	}
	if !known || len(plan.Add) > 0 || len(plan.Remove) > 0 {
		have, err = g.views.fetch(ctx, cluster, connection)
		if disabled(err) {
			return grantResult{disabled: true}, nil
		}
		if err != nil {
			return grantResult{}, kafkaHalt(err)
		}
		if plan, err = g.ledger.plan(ctx, cluster, owner, want, have); err != nil {
			return grantResult{}, err
		}
	}
	if record := formatBindings(plan.Record); !containsAll(*managedBindings(owner), record) {
		*managedBindings(owner) = record
		if err := g.record(ctx, before, owner); err != nil {
			return grantResult{}, err
		}
	}
	if len(plan.Add) > 0 {
		if err := connection.AddBindings(ctx, plan.Add); err != nil {
			return grantResult{}, kafkaHalt(err)
		}
	}
	if len(plan.Remove) > 0 {
		if err := connection.RemoveBindings(ctx, plan.Remove); err != nil {
			return grantResult{}, kafkaHalt(err)
		}
	}
	g.views.change(cluster, plan.Add, plan.Remove)
	*managedBindings(owner) = formatBindings(plan.Keep)
	g.ledger.enter(cluster, owner, plan.Keep)
	return grantResult{added: plan.Add}, nil
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

// views keeps what each cluster's ACL bindings were when somebody last asked,
// and what Weir has changed since, so that a pass over a resource whose grants
// are in place asks nothing. The sweep brings it up to date. Safe for
// concurrent use.
type views struct {
	mu        sync.Mutex
	byCluster map[string]view
}

// view is replaced and never changed, so that readers need no lock.
type view struct {
	at       time.Time
	bindings map[kafka.Binding]struct{}
}

func newViews() *views { return &views{byCluster: map[string]view{}} }

// latest is the view of a cluster, if it is not older than age.
func (v *views) latest(cluster string, age time.Duration) (map[kafka.Binding]struct{}, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one, ok := v.byCluster[cluster]
	return one.bindings, ok && time.Since(one.at) <= age
}

// fetch asks the cluster.
func (v *views) fetch(ctx context.Context, cluster string, connection *kafka.Cluster) (map[kafka.Binding]struct{}, error) {
	bindings, err := connection.Bindings(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.byCluster[cluster] = view{at: time.Now(), bindings: bindings}
	return bindings, nil
}

// change enters what Weir has added and removed.
func (v *views) change(cluster string, added, removed []kafka.Binding) {
	if len(added) == 0 && len(removed) == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.byCluster[cluster]
	one.bindings = maps.Clone(one.bindings)
	for _, binding := range added {
		one.bindings[binding] = struct{}{}
	}
	for _, binding := range removed {
		delete(one.bindings, binding)
	}
	v.byCluster[cluster] = one
}
