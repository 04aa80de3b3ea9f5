package controller

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// ends is the reconciler of a kind that also learns of the end of its objects:
// however one goes, also by force, what is kept in memory for it goes too, and
// what it declared is taken back. Safe for concurrent use.
type ends[T client.Object] struct {
	client client.Client
	inner  reconcile.ObjectReconciler[T]
	empty  func() T
	// forget drops what is kept for an object that is gone: its name and its UID.
	forget func(client.Object)
	// gone takes back what an object declared. Seen says that this process saw it
	// go.
	gone func(ctx context.Context, name types.NamespacedName, seen bool) error

	mu    sync.Mutex
	known map[types.NamespacedName]types.UID
	// left has the objects whose end a watch has shown, and whether it showed the
	// deletion itself: a watch that had to begin anew only misses them.
	left map[types.NamespacedName]bool
}

// newEnds has objects reconciled by inner, whose kind is that of its pointers.
func newEnds[T any, P interface {
	*T
	client.Object
}](c client.Client, inner reconcile.ObjectReconciler[P], gone func(context.Context, types.NamespacedName, bool) error, forget func(client.Object),
) *ends[P] {
	return &ends[P]{
		client: c, inner: inner, empty: func() P { return new(T) }, gone: gone, forget: forget,
		known: map[types.NamespacedName]types.UID{}, left: map[types.NamespacedName]bool{},
	}
}

// deletions notes how objects end. It passes everything.
func (e *ends[T]) deletions() predicate.Predicate {
	return predicate.Funcs{DeleteFunc: func(end event.DeleteEvent) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.left[client.ObjectKeyFromObject(end.Object)] = !end.DeleteStateUnknown
		return true
	}}
}

// Reconcile makes one pass over an object, or forgets it.
func (e *ends[T]) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obj := e.empty()
	err := e.client.Get(ctx, request.NamespacedName, obj)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, e.end(ctx, request.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	e.mu.Lock()
	was := e.known[request.NamespacedName]
	e.known[request.NamespacedName] = obj.GetUID()
	delete(e.left, request.NamespacedName)
	e.mu.Unlock()
	if was != "" && was != obj.GetUID() {
		e.forget(remains(request.NamespacedName, was))
	}
	return e.inner.Reconcile(ctx, obj)
}

func (e *ends[T]) end(ctx context.Context, name types.NamespacedName) error {
	e.mu.Lock()
	was := e.known[name]
	seen, shown := e.left[name]
	e.mu.Unlock()
	if !shown {
		seen = was != ""
	}
	if err := e.gone(ctx, name, seen); err != nil {
		return err // it is tried again
	}
	if was != "" {
		e.forget(remains(name, was))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known[name] == was {
		delete(e.known, name)
	}
	delete(e.left, name)
	return nil
}

func remains(name types.NamespacedName, uid types.UID) client.Object {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: uid}}
}
