package controller

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// release cleans up in Kafka behind a namespaced resource that is being
// deleted, and lets it go: its grants are revoked, then clean does what the
// kind needs besides. Nothing in Kafka is touched where keep is set (a
// suspended resource), where the resource was never on a cluster, where its
// KafkaCluster is gone, and where the force annotation says so. Errors are halts.
func (b base) release(ctx context.Context, before, obj client.Object, keep bool, clean func(*kafka.Cluster) error) error {
	name := clusterOf(obj)
	forced := obj.GetAnnotations()[v1alpha1.ForceDeleteAnnotation] == "true"
	if name != "" && !keep && !forced {
		if err := b.cleanUp(ctx, name, before, obj, clean); err != nil {
			return err
		}
	}
	b.ledger.forget(name, obj)
	return b.dropFinalizer(ctx, obj)
}

func (b base) cleanUp(ctx context.Context, name string, before, obj client.Object, clean func(*kafka.Cluster) error) error {
	var cluster v1alpha1.KafkaCluster
	err := b.client.Get(ctx, client.ObjectKey{Name: name}, &cluster)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	connection, err := b.clusters.connect(ctx, &cluster)
	if err == nil {
		_, err = b.grant(ctx, name, connection, before, obj, nil)
	}
	if err == nil {
		err = clean(connection)
	}
	var h *halt
	if errors.As(err, &h) && h.kind != waiting {
		h.message += "; the resource goes when this is over, or at once with the annotation " + v1alpha1.ForceDeleteAnnotation + "=true"
	}
	return err
}

// tellGrants emits an event where somebody else had removed bindings of ours.
func (b base) tellGrants(before, obj client.Object, granted grantResult) {
	if !wasReady(before) {
		return
	}
	recorded := *managedBindings(before)
	for _, binding := range granted.added {
		if slices.Contains(recorded, binding.String()) {
			b.event(obj, "DriftCorrected", "Grant", "somebody else removed an ACL binding; put right: %s", binding)
		}
	}
}
