package controller

import (
	"fmt"

	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// create creates obj and waits until the cache has it.
func (h *harness) create(obj client.Object) {
	h.Helper()
	h.must(h.live.Create(h.Context(), obj))
	h.sync(obj)
}

// edit changes the newest obj, whose status the operator may write meanwhile.
func (h *harness) edit(obj client.Object, change func()) {
	h.Helper()
	h.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		change()
		return h.live.Update(h.Context(), obj)
	}))
}

// update changes the newest obj and waits until the cache has it.
func (h *harness) update(obj client.Object, change func()) {
	h.Helper()
	h.must(h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj))
	change()
	h.must(h.live.Update(h.Context(), obj))
	h.sync(obj)
}

// delete asks for deletion and waits until the cache knows.
func (h *harness) delete(obj client.Object) {
	h.Helper()
	h.must(h.live.Delete(h.Context(), obj))
	h.sync(obj)
}

// sync waits until the cache shows obj as the API server does, and reads it.
func (h *harness) sync(obj client.Object) {
	h.Helper()
	key := client.ObjectKeyFromObject(obj)
	h.await(func() string {
		err := h.live.Get(h.Context(), key, obj)
		if client.IgnoreNotFound(err) != nil {
			return err.Error()
		}
		cached := obj.DeepCopyObject().(client.Object)
		cachedErr := h.parts.client.Get(h.Context(), key, cached)
		if (err == nil) != (cachedErr == nil) || (err == nil && cached.GetResourceVersion() != obj.GetResourceVersion()) {
			return fmt.Sprintf("the cache is behind on %s: live %v, cached %v", key, err, cachedErr)
		}
		return ""
	})
}

// force annotates obj so that it goes without the clean-up.
func (h *harness) force(obj client.Object) {
	h.Helper()
	h.update(obj, func() { obj.SetAnnotations(map[string]string{v1alpha1.ForceDeleteAnnotation: "true"}) })
}

// gone says whether the API server has no obj any more.
func (h *harness) gone(obj client.Object) bool {
	h.Helper()
	err := h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj.DeepCopyObject().(client.Object))
	h.must(client.IgnoreNotFound(err))
	return err != nil
}

// reread is the object of that name in the team's namespace, as the API server has it.
func (h *harness) reread(obj client.Object, name string) client.Object {
	h.Helper()
	h.must(h.live.Get(h.Context(), client.ObjectKey{Namespace: h.namespace, Name: name}, obj))
	return obj
}

// orForceWords is what a message says besides while only the clean-up keeps a
// resource.
const orForceWords = "; the resource goes when this is over, or at once with the annotation weir.dev/force-delete=true"
