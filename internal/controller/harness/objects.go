package harness

import (
	"fmt"

	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Create creates obj and waits until the cache has it.
func (h *Harness) Create(obj client.Object) {
	h.Helper()
	h.Must(h.Live.Create(h.Context(), obj))
	h.Sync(obj)
}

// Edit changes the newest obj, whose status the operator may write meanwhile.
func (h *Harness) Edit(obj client.Object, change func()) {
	h.Helper()
	h.Must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := h.Live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		change()
		return h.Live.Update(h.Context(), obj)
	}))
}

// Update changes the newest obj and waits until the cache has it.
func (h *Harness) Update(obj client.Object, change func()) {
	h.Helper()
	h.Must(h.Live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj))
	change()
	h.Must(h.Live.Update(h.Context(), obj))
	h.Sync(obj)
}

// Delete asks for deletion and waits until the cache knows.
func (h *Harness) Delete(obj client.Object) {
	h.Helper()
	h.Must(h.Live.Delete(h.Context(), obj))
	h.Sync(obj)
}

// Sync waits until the cache shows obj as the API server does, and reads it.
func (h *Harness) Sync(obj client.Object) {
	h.Helper()
	key := client.ObjectKeyFromObject(obj)
	h.Await(func() string {
		err := h.Live.Get(h.Context(), key, obj)
		if client.IgnoreNotFound(err) != nil {
			return err.Error()
		}
		if h.Parts.Client == nil {
			return "" // a manager of the test's own runs, with a cache of its own
		}
		cached := obj.DeepCopyObject().(client.Object)
		cachedErr := h.Parts.Client.Get(h.Context(), key, cached)
		if (err == nil) != (cachedErr == nil) || (err == nil && cached.GetResourceVersion() != obj.GetResourceVersion()) {
			return fmt.Sprintf("the cache is behind on %s: live %v, cached %v", key, err, cachedErr)
		}
		return ""
	})
}

// Gone says whether the API server has no obj any more.
func (h *Harness) Gone(obj client.Object) bool {
	h.Helper()
	err := h.Live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj.DeepCopyObject().(client.Object))
	h.Must(client.IgnoreNotFound(err))
	return err != nil
}

// Reread is the object of that name in the team's namespace, as the API server has it.
func (h *Harness) Reread(obj client.Object, name string) client.Object {
	h.Helper()
	h.Must(h.Live.Get(h.Context(), client.ObjectKey{Namespace: h.Namespace, Name: name}, obj))
	return obj
}
