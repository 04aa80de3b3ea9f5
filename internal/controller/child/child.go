// Package child applies the objects that Weir renders for a resource, by
// server-side apply, and refuses those of others. It knows nothing of what they
// are for.
package child

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
)

const (
	// fieldOwner is Weir's name in the managed fields of its children.
	fieldOwner = client.FieldOwner("weir")
	// renderedAnnotation is a digest of what Weir applied to a child, so that
	// also a field that left the rendering is noticed.
	renderedAnnotation = "weir.dev/rendered"
	// ManagedByLabel restricts the cache to children of Weir.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "weir"

	// ReasonRejected: Kubernetes refuses a child, by what its owner says of it.
	ReasonRejected = "RejectedByKubernetes"
)

// Applier applies the objects that Weir renders.
type Applier struct {
	Client client.Client
	// Live reads past the cache, which holds only objects with our label.
	Live client.Reader
	left *lastApplied
}

// New applies by c, which reads from the cache, and by live, which reads past it.
func New(c client.Client, live client.Reader) Applier {
	return Applier{Client: c, Live: live, left: newLastApplied()}
}

// Forget drops what is remembered of the children of an owner that is gone.
func (c Applier) Forget(owner client.Object) { c.left.forget(owner) }

// Apply makes the child what desired says, by server-side apply, and writes
// nothing where it is as the last apply left it. What others have added since
// does not matter; where they have changed its spec, it is applied again, once.
// Existing is an empty object of the child's type; it holds the child
// afterwards, as read before the write. A child of that name which is not Weir's
// is refused: NameConflict; one that Weir made for an owner that is gone is
// taken over.
func (c Applier) Apply(ctx context.Context, owner client.Object, desired, existing client.Object) error {
	child, digest, err := c.rendered(desired)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", desired.GetName(), err)
	}
	name := fmt.Sprintf("%s %s", child.GetKind(), client.ObjectKeyFromObject(desired))
	found, err := c.get(ctx, client.ObjectKeyFromObject(desired), existing)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	switch {
	case found && Owned(existing, owner):
		if c.left.is(owner, name, existing, digest) && sameData(desired, existing) {
			return nil
		}
	case found:
		if ours, err := c.orphaned(ctx, existing); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		} else if !ours {
			return halt.Stall(v1alpha1.ReasonNameConflict, "%s exists and is not Weir's; delete or rename it: Weir needs that name", name)
		}
	}
	err = c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(child), fieldOwner, client.ForceOwnership)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return halt.Wait(v1alpha1.ReasonNamespaceTerminating, "namespace %q is being deleted, and Kubernetes creates nothing in it any more", desired.GetNamespace())
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return halt.Stall(ReasonRejected, "Kubernetes refuses what this resource asks for: %v", err)
	case err != nil:
		return fmt.Errorf("applying %s: %w", name, err)
	}
	c.left.note(owner, name, child, digest)
	return nil
}

// Owned says whether a child is owner's: one that it controls, or, in the
// operator's namespace, where a KafkaCluster's worker outlives it, one with our
// label that nobody controls.
func Owned(child, owner client.Object) bool {
	if controller := metav1.GetControllerOf(child); controller != nil {
		return controller.UID == owner.GetUID()
	}
	return owner.GetNamespace() == "" && child.GetLabels()[ManagedByLabel] == ManagedBy
}

// rendered is a child as it is sent, and its digest, which is among its
// annotations.
func (c Applier) rendered(desired client.Object) (*unstructured.Unstructured, string, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return nil, "", err
	}
	dropEmpty(fields)
	gvk, err := c.Client.GroupVersionKindFor(desired)
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, "", err
	}
	digest := Digest(string(text))
	child := &unstructured.Unstructured{Object: fields}
	child.SetGroupVersionKind(gvk)
	annotations := child.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[renderedAnnotation] = digest
	child.SetAnnotations(annotations)
	return child, digest, nil
}

// orphaned says whether Weir made an object for an owner that is gone: it bears
// our label, Weir is among its managers, and nobody controls it.
func (c Applier) orphaned(ctx context.Context, obj client.Object) (bool, error) {
	if obj.GetLabels()[ManagedByLabel] != ManagedBy || metav1.GetControllerOf(obj) != nil {
		return false, nil
	}
	full := obj.DeepCopyObject().(client.Object) // the cache has no managed fields
	if err := c.Live.Get(ctx, client.ObjectKeyFromObject(obj), full); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return slices.ContainsFunc(full.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == string(fieldOwner)
	}), nil
}

// sameData compares what has no generation: the files of a ConfigMap.
func sameData(desired, existing client.Object) bool {
	want, ok := desired.(*corev1.ConfigMap)
	return !ok || maps.Equal(want.Data, existing.(*corev1.ConfigMap).Data)
}

// get reads the child from the cache, and past it where the cache has none: an
// object without our label is not in the cache, and must not be hijacked.
func (c Applier) get(ctx context.Context, key client.ObjectKey, into client.Object) (bool, error) {
	err := c.Client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		err = c.Live.Get(ctx, key, into)
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// dropEmpty removes null and empty objects, and the status, which typed
// objects marshal and server-side apply would take for a wish.
func dropEmpty(fields map[string]any) {
	delete(fields, "status")
	for key, value := range fields {
		switch v := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			if len(v) == 0 && key != "emptyDir" {
				delete(fields, key)
				continue
			}
			dropEmpty(v)
			if len(v) == 0 && key != "emptyDir" {
				delete(fields, key)
			}
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					dropEmpty(m)
				}
			}
		}
	}
}

// Remove deletes a child of owner, if there is one.
func (c Applier) Remove(ctx context.Context, owner, child client.Object) error {
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(child), child)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || !Owned(child, owner) {
		return err
	}
	return client.IgnoreNotFound(c.Client.Delete(ctx, child, client.Preconditions{UID: new(child.GetUID())}))
}

// Digest is a short digest of a text.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
