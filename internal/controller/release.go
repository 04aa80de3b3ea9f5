package controller

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// release cleans up in Kafka behind a namespaced resource that is being
// deleted, and lets it go: its grants are revoked, then clean, if not nil, does
// what the kind needs besides. Nothing in Kafka is touched where keep is set (a
// suspended resource), where the resource was never on a cluster, where its
// KafkaCluster is gone, and where the force annotation says so. Errors are halts.
func (b base) release(ctx context.Context, before, obj settle.Object, keep bool, clean func(*v1alpha1.KafkaCluster, *kafka.Cluster) error) error {
	name := clusterOf(obj)
	if name != "" && !keep && !forced(obj) {
		if err := b.cleanUp(ctx, name, before, obj, clean); err != nil {
			return orForce(err)
		}
	}
	b.ledger.forget(name, obj)
	return b.dropFinalizer(ctx, obj)
}

func (b base) cleanUp(ctx context.Context, name string, before, obj settle.Object, clean func(*v1alpha1.KafkaCluster, *kafka.Cluster) error) error {
	var cluster v1alpha1.KafkaCluster
	err := b.Client.Get(ctx, client.ObjectKey{Name: name}, &cluster)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if cluster.Status.ObservedGeneration != cluster.Generation {
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q has not been looked at yet", name)
	}
	connection, err := b.clusters.behind(ctx, &cluster)
	if err != nil {
		return err
	}
	if err := b.revoke(ctx, name, connection, before, obj); err != nil {
		return err
	}
	if clean == nil {
		return nil
	}
	return clean(&cluster, connection)
}

// revoke takes back everything that obj was granted.
func (b base) revoke(ctx context.Context, cluster string, connection *kafka.Cluster, before, obj settle.Object) error {
	granted, err := b.grant(ctx, cluster, connection, before, obj, nil)
	if err == nil && !granted.disabled && len(*managedBindings(obj)) > 0 {
		// Somebody else needs them too and has not recorded them yet.
		return halt.Soon(settle.ConflictRetry, halt.Progress("another resource is taking over ACL bindings of this one"))
	}
	return err
}

func forced(obj client.Object) bool {
	return obj.GetAnnotations()[v1alpha1.ForceDeleteAnnotation] == "true"
}

// orForce adds to a halt what lets a resource go without the clean-up.
func orForce(err error) error {
	if h, ok := halt.As(err); ok && h.Kind != halt.Progressing {
		h.Message += "; the resource goes when this is over, or at once with the annotation " + v1alpha1.ForceDeleteAnnotation + "=true"
	}
	return err
}

// tellGrants emits an event where somebody else had removed bindings of ours.
func (b base) tellGrants(before, obj settle.Object, granted grantResult) {
	if !settle.WasReady(before) {
		return
	}
	recorded := *managedBindings(before)
	for _, binding := range granted.added {
		if slices.Contains(recorded, binding.String()) {
			b.Event(obj, "DriftCorrected", "Grant", "somebody else removed an ACL binding; put right: %s", binding)
		}
	}
}
