package controller

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// ends is the reconciler of a kind that also learns of the end of its objects:
// however one goes, also by force or with its finalizer taken off by hand, what
// is kept in memory for it goes too. Safe for concurrent use.
type ends[T client.Object] struct {
	client client.Client
	inner  reconcile.ObjectReconciler[T]
	empty  func() T
	// brief is what forget needs of an object: its name, its UID, its cluster.
	brief func(T) T
	// forget drops what is kept for an object that is gone.
	forget func(T)

	mu    sync.Mutex
	known map[types.NamespacedName]T
}

// Reconcile makes one pass over an object, or forgets it.
func (e *ends[T]) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obj := e.empty()
	err := e.client.Get(ctx, request.NamespacedName, obj)
	if apierrors.IsNotFound(err) {
		e.end(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	e.note(request.NamespacedName, obj)
	return e.inner.Reconcile(ctx, obj)
}

// note remembers an object; another one of that name is gone.
func (e *ends[T]) note(key types.NamespacedName, obj T) {
	brief := e.brief(obj)
	e.mu.Lock()
	was, had := e.known[key]
	e.known[key] = brief
	e.mu.Unlock()
	if had && was.GetUID() != obj.GetUID() {
		e.forget(was)
	}
}

func (e *ends[T]) end(key types.NamespacedName) {
	e.mu.Lock()
	was, had := e.known[key]
	delete(e.known, key)
	e.mu.Unlock()
	if had {
		e.forget(was)
	}
}

// nameOf is the name and the UID of an object.
func nameOf(obj client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID()}
}

func (s *Operator) clusterEnds(c client.Client) reconcile.Reconciler {
	return &ends[*v1alpha1.KafkaCluster]{
		client: c, inner: s.Cluster, known: map[types.NamespacedName]*v1alpha1.KafkaCluster{},
		empty: func() *v1alpha1.KafkaCluster { return &v1alpha1.KafkaCluster{} },
		brief: func(obj *v1alpha1.KafkaCluster) *v1alpha1.KafkaCluster {
			return &v1alpha1.KafkaCluster{ObjectMeta: nameOf(obj)}
		},
		forget: func(obj *v1alpha1.KafkaCluster) {
			s.Cluster.Forget(obj)
			s.Collectors.End(obj.Name)
		},
	}
}

func (s *Operator) topicEnds(c client.Client) reconcile.Reconciler {
	return &ends[*v1alpha1.Topic]{
		client: c, inner: s.Topic, known: map[types.NamespacedName]*v1alpha1.Topic{}, forget: s.Topic.Forget,
		empty: func() *v1alpha1.Topic { return &v1alpha1.Topic{} },
		brief: func(obj *v1alpha1.Topic) *v1alpha1.Topic {
			brief := &v1alpha1.Topic{ObjectMeta: nameOf(obj)}
			brief.Status.Cluster = obj.Status.Cluster
			return brief
		},
	}
}

func (s *Operator) relayEnds(c client.Client) reconcile.Reconciler {
	return &ends[*v1alpha1.OutboxRelay]{
		client: c, inner: s.Relay, known: map[types.NamespacedName]*v1alpha1.OutboxRelay{}, forget: s.Relay.Forget,
		empty: func() *v1alpha1.OutboxRelay { return &v1alpha1.OutboxRelay{} },
		brief: func(obj *v1alpha1.OutboxRelay) *v1alpha1.OutboxRelay {
			brief := &v1alpha1.OutboxRelay{ObjectMeta: nameOf(obj)}
			brief.Status.Cluster = obj.Status.Cluster
			return brief
		},
	}
}

func (s *Operator) groupEnds(c client.Client) reconcile.Reconciler {
	return &ends[*v1alpha1.ConsumerGroup]{
		client: c, inner: s.Group, known: map[types.NamespacedName]*v1alpha1.ConsumerGroup{}, forget: s.Group.Forget,
		empty: func() *v1alpha1.ConsumerGroup { return &v1alpha1.ConsumerGroup{} },
		brief: func(obj *v1alpha1.ConsumerGroup) *v1alpha1.ConsumerGroup {
			brief := &v1alpha1.ConsumerGroup{ObjectMeta: nameOf(obj)}
			brief.Status.Cluster = obj.Status.Cluster
			return brief
		},
	}
}
