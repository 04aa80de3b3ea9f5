// Package release keeps a resource that is being deleted until Weir has done
// what must go with it: the finalizer, and what is said of who still uses it.
// What has to be done the kinds say.
package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// Finalizer keeps resources until Weir has done what must go with them.
type Finalizer struct {
	Client client.Client
}

// Follow makes an object hold the finalizer, or not.
func (f Finalizer) Follow(ctx context.Context, obj client.Object, wanted bool) error {
	switch has := controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer); {
	case has == wanted:
		return nil
	case wanted:
		return f.patch(ctx, obj, func(patched client.Object) { controllerutil.AddFinalizer(patched, v1alpha1.Finalizer) })
	default:
		return f.Drop(ctx, obj)
	}
}

// Drop lets obj go.
func (f Finalizer) Drop(ctx context.Context, obj client.Object) error {
	if !controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer) {
		return nil
	}
	err := f.patch(ctx, obj, func(patched client.Object) { controllerutil.RemoveFinalizer(patched, v1alpha1.Finalizer) })
	return client.IgnoreNotFound(err)
}

// patch patches what change does to the finalizers of an object, with
// an optimistic lock. The status that this pass has made so far is kept.
func (f Finalizer) patch(ctx context.Context, obj client.Object, change func(client.Object)) error {
	patched := obj.DeepCopyObject().(client.Object)
	change(patched)
	err := f.Client.Patch(ctx, patched, client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{}))
	// Also where that failed, since an object that is gone has none any more.
	obj.SetFinalizers(patched.GetFinalizers())
	if err == nil {
		obj.SetResourceVersion(patched.GetResourceVersion())
	}
	return err
}

// FirstFew joins names in their order, and counts those after the first few.
func FirstFew(names []string, few int) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
