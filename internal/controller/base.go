package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// base is what every reconciler works with.
type base struct {
	granter
	clusters *clusters
}

// event tells of an effect on obj. Action is what Weir did, in one CamelCase word.
func (b base) event(obj client.Object, reason, action, format string, args ...any) {
	b.events.Eventf(obj, nil, corev1.EventTypeNormal, reason, action, "%s", truncate(fmt.Sprintf(format, args...), longestNote))
}

// holdFinalizer makes sure that obj cannot go before Weir has cleaned up.
func (b base) holdFinalizer(ctx context.Context, obj client.Object) error {
	if controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer) {
		return nil
	}
	return b.patchMetadata(ctx, obj, func() { controllerutil.AddFinalizer(obj, v1alpha1.Finalizer) })
}

// dropFinalizer lets obj go.
func (b base) dropFinalizer(ctx context.Context, obj client.Object) error {
	err := b.patchMetadata(ctx, obj, func() { controllerutil.RemoveFinalizer(obj, v1alpha1.Finalizer) })
	return client.IgnoreNotFound(err)
}

// patchMetadata patches what change does to obj's metadata, with an optimistic
// lock, and keeps the status that this pass has made so far.
func (b base) patchMetadata(ctx context.Context, obj client.Object, change func()) error {
	kept := obj.DeepCopyObject().(client.Object)
	patch := client.MergeFromWithOptions(obj.DeepCopyObject().(client.Object), client.MergeFromWithOptimisticLock{})
	change()
	if err := b.client.Patch(ctx, obj, patch); err != nil {
		return err
	}
	copyStatus(obj, kept)
	return nil
}
