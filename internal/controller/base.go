package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// base is what every reconciler works with.
type base struct {
	granter
	clusters *clusters
}

// holdFinalizer makes sure that obj cannot go before Weir has cleaned up.
func (b base) holdFinalizer(ctx context.Context, obj client.Object) error {
	if controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer) {
		return nil
	}
	return b.patchFinalizers(ctx, obj, func(patched client.Object) { controllerutil.AddFinalizer(patched, v1alpha1.Finalizer) })
}

// dropFinalizer lets obj go.
func (b base) dropFinalizer(ctx context.Context, obj client.Object) error {
	err := b.patchFinalizers(ctx, obj, func(patched client.Object) { controllerutil.RemoveFinalizer(patched, v1alpha1.Finalizer) })
	return client.IgnoreNotFound(err)
}

// patchFinalizers patches what change does to the finalizers of an object, with
// an optimistic lock. The status that this pass has made so far is kept.
func (b base) patchFinalizers(ctx context.Context, obj client.Object, change func(client.Object)) error {
	patched := obj.DeepCopyObject().(client.Object)
	change(patched)
	err := b.Client.Patch(ctx, patched, client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{}))
	// Also where that failed, since an object that is gone has none any more.
	obj.SetFinalizers(patched.GetFinalizers())
	if err == nil {
		obj.SetResourceVersion(patched.GetResourceVersion())
	}
	return err
}
