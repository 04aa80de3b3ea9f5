// Package release keeps a resource that is being deleted until Weir has cleaned
// up behind it: the finalizer, and what is said of who still uses it. What is
// cleaned up the kinds say.
package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// Finalizer keeps resources until Weir has cleaned up behind them.
type Finalizer struct {
	Client client.Client
	// Behind is the cluster where a resource that is being deleted has left
	// something. It need not be Ready, but must be the one that it was. Errors are
	// halts.
	Behind func(context.Context, *v1alpha1.KafkaCluster) (*kafka.Cluster, error)
}

// Hold makes sure that obj cannot go before Weir has cleaned up.
func (f Finalizer) Hold(ctx context.Context, obj client.Object) error {
	if controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer) {
		return nil
	}
	return f.patch(ctx, obj, func(patched client.Object) { controllerutil.AddFinalizer(patched, v1alpha1.Finalizer) })
}

// Drop lets obj go.
func (f Finalizer) Drop(ctx context.Context, obj client.Object) error {
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

// CleanUp does clean on the cluster that a namespaced resource which is being
// deleted lived on. It does nothing where the resource was never on a cluster,
// where its KafkaCluster is gone, and where the resource is forced to go.
// Errors are halts.
func (f Finalizer) CleanUp(ctx context.Context, obj client.Object, cluster string, clean func(*v1alpha1.KafkaCluster, *kafka.Cluster) error) error {
	if cluster == "" || Forced(obj) {
		return nil
	}
	var found v1alpha1.KafkaCluster
	err := f.Client.Get(ctx, client.ObjectKey{Name: cluster}, &found)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case found.Status.ObservedGeneration != found.Generation:
		return OrForce(halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q has not been looked at yet", cluster))
	}
	connection, err := f.Behind(ctx, &found)
	if err != nil {
		return OrForce(err)
	}
	return OrForce(clean(&found, connection))
}

// Forced says whether somebody wants obj to go without the clean-up.
func Forced(obj client.Object) bool {
	return obj.GetAnnotations()[v1alpha1.ForceDeleteAnnotation] == "true"
}

// OrForce adds to a halt what lets a resource go without the clean-up.
func OrForce(err error) error {
	if h, ok := halt.As(err); ok && h.Kind != halt.Progressing {
		h.Message += "; the resource goes when this is over, or at once with the annotation " + v1alpha1.ForceDeleteAnnotation + "=true"
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

// Describe is "Kind namespace/name".
func Describe(c client.Client, obj client.Object) string {
	kind := "object"
	if gvk, err := c.GroupVersionKindFor(obj); err == nil {
		kind = gvk.Kind
	}
	return kind + " " + strings.TrimPrefix(client.ObjectKeyFromObject(obj).String(), "/")
}
