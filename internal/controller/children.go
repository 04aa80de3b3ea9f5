package controller

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
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
	// managedByLabel restricts the cache to children of Weir.
	managedByLabel = "app.kubernetes.io/managed-by"
	managedByWeir  = "weir"

	// reasonRejected: Kubernetes refuses a child, by what its owner says of it.
	reasonRejected = "RejectedByKubernetes"
)

// children applies the objects that Weir renders.
type children struct {
	client client.Client
	// live reads past the cache, which holds only objects with our label.
	live client.Reader
}

// apply makes the child what desired says, by server-side apply, and writes
// nothing where it is that already. Existing is an empty object of the child's
// type; it holds the child afterwards, as read before the write. A child of
// that name that owner does not control is refused: NameConflict.
func (c children) apply(ctx context.Context, owner client.Object, desired, existing client.Object) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", desired.GetName(), err)
	}
	dropEmpty(fields)
	gvk, err := c.client.GroupVersionKindFor(desired)
	if err != nil {
		return err
	}
	child := &unstructured.Unstructured{Object: fields}
	child.SetGroupVersionKind(gvk)
	digest, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", desired.GetName(), err)
	}
	child.SetAnnotations(with(child.GetAnnotations(), renderedAnnotation, hashOf(string(digest))))

	found, err := c.get(ctx, client.ObjectKeyFromObject(desired), existing)
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", gvk.Kind, client.ObjectKeyFromObject(desired), err)
	}
	if found {
		if !metav1.IsControlledBy(existing, owner) {
			return halt.Stall(v1alpha1.ReasonNameConflict,
				"%s %s exists and is not Weir's; delete or rename it: Weir needs that name", gvk.Kind, client.ObjectKeyFromObject(desired))
		}
		actual, err := runtime.DefaultUnstructuredConverter.ToUnstructured(existing)
		if err != nil {
			return err
		}
		if existing.GetAnnotations()[renderedAnnotation] == child.GetAnnotations()[renderedAnnotation] && covers(actual, child.Object) {
			return nil
		}
	}
	err = c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(child), fieldOwner, client.ForceOwnership)
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return halt.Stall(reasonRejected, "Kubernetes refuses what this resource asks for: %v", err)
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", gvk.Kind, client.ObjectKeyFromObject(desired), err)
	}
	return nil
}

// deploy applies a worker's ConfigMap and Deployment, and returns the latter as
// it is rendered, with the status that it had.
func (c children) deploy(ctx context.Context, owner client.Object, w worker) (*appsv1.Deployment, error) {
	if err := c.apply(ctx, owner, w.configMap(), &corev1.ConfigMap{}); err != nil {
		return nil, err
	}
	was, deployment := &appsv1.Deployment{}, w.deployment()
	if err := c.apply(ctx, owner, deployment, was); err != nil {
		return nil, err
	}
	deployment.Status = was.Status
	return deployment, nil
}

// get reads the child from the cache, and past it where the cache has none: an
// object without our label is not in the cache, and must not be hijacked.
func (c children) get(ctx context.Context, key client.ObjectKey, into client.Object) (bool, error) {
	err := c.client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		err = c.live.Get(ctx, key, into)
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// covers says whether actual has everything that desired has; what the API
// server or others added does not matter.
func covers(actual, desired any) bool {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := actual.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range want {
			if key == "kind" || key == "apiVersion" {
				continue // typed objects from the cache have none
			}
			if !covers(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := actual.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(have[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return fmt.Sprint(actual) == fmt.Sprint(desired)
	}
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

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// remove deletes a child of owner, if there is one.
func (c children) remove(ctx context.Context, owner, child client.Object) error {
	err := c.client.Get(ctx, client.ObjectKeyFromObject(child), child)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || !metav1.IsControlledBy(child, owner) {
		return err
	}
	return client.IgnoreNotFound(c.client.Delete(ctx, child, client.Preconditions{UID: ptr(child.GetUID())}))
}
