package controller

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/claims"
	"github.com/weir-dev/weir/internal/controller/deadletterpolicy"
	"github.com/weir-dev/weir/internal/controller/pool"
)

// AddIndexes indexes the cache by what the rooms ask it.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return errors.Join(claims.AddIndexes(ctx, indexer), deadletterpolicy.AddIndex(ctx, indexer))
}

// topicsOfUser are the Topics that a ConsumerGroup or an OutboxRelay refers to.
func topicsOfUser(_ context.Context, obj client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, key := range claims.TopicsOf(obj) {
		requests = append(requests, reconcile.Request{NamespacedName: key})
	}
	return requests
}

// policyOfGroup is the DeadLetterPolicy that a ConsumerGroup refers to.
func policyOfGroup(_ context.Context, obj client.Object) []reconcile.Request {
	ref := obj.(*v1alpha1.ConsumerGroup).Spec.DeadLetterPolicyRef
	if ref == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: ref.Name}}}
}

// wakers find, in the cache, who has to look again when an object changes.
type wakers struct {
	client client.Client
}

// onCluster finds the objects of a kind that live on a KafkaCluster, and those
// that wait for one.
func (w wakers) onCluster(list func() client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, cluster client.Object) []reconcile.Request {
		return w.requests(ctx, list(), func(obj client.Object) bool {
			on := pool.ClusterOf(obj)
			return on == "" || on == cluster.GetName()
		})
	}
}

// usersOfTopic finds the objects of a kind that refer to a Topic.
func (w wakers) usersOfTopic(list func() client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, topic client.Object) []reconcile.Request {
		return w.requests(ctx, list(), nil, client.MatchingFields{claims.TopicRefIndex: client.ObjectKeyFromObject(topic).String()})
	}
}

// rivalTopics finds the Topics that may have waited for a name.
func (w wakers) rivalTopics(ctx context.Context, obj client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, name := range claims.PossibleNames(obj.(*v1alpha1.Topic)) {
		requests = append(requests, w.requests(ctx, newTopicList(), nil, client.MatchingFields{claims.Index: name})...)
	}
	return requests
}

// rivalGroups finds the ConsumerGroups that may have waited for a group ID.
func (w wakers) rivalGroups(ctx context.Context, obj client.Object) []reconcile.Request {
	return w.requests(ctx, newGroupList(), nil, client.MatchingFields{claims.Index: claims.GroupID(obj.(*v1alpha1.ConsumerGroup))})
}

// groupsOfPolicy finds the ConsumerGroups that use a DeadLetterPolicy.
func (w wakers) groupsOfPolicy(ctx context.Context, policy client.Object) []reconcile.Request {
	return w.requests(ctx, newGroupList(), nil, client.InNamespace(policy.GetNamespace()), client.MatchingFields{deadletterpolicy.Index: policy.GetName()})
}

// clusterOfUser is the KafkaCluster that a resource lives on.
func clusterOfUser(_ context.Context, obj client.Object) []reconcile.Request {
	name := pool.ClusterOf(obj)
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}

// clusterThatGoes is the KafkaCluster that a resource lived on, where that is
// being deleted and waits for the last of them.
func (w wakers) clusterThatGoes(ctx context.Context, obj client.Object) []reconcile.Request {
	requests := clusterOfUser(ctx, obj)
	if len(requests) == 0 {
		return nil
	}
	var cluster v1alpha1.KafkaCluster
	if err := w.client.Get(ctx, requests[0].NamespacedName, &cluster); err != nil || cluster.DeletionTimestamp.IsZero() {
		return nil
	}
	return requests
}

// clustersOfPolicy are the KafkaClusters of the groups that use a policy.
func (w wakers) clustersOfPolicy(ctx context.Context, policy client.Object) []reconcile.Request {
	var groups v1alpha1.ConsumerGroupList
	err := w.client.List(ctx, &groups, client.InNamespace(policy.GetNamespace()), client.MatchingFields{deadletterpolicy.Index: policy.GetName()})
	if err != nil {
		log.FromContext(ctx).Error(err, "finding the groups of a policy")
	}
	var requests []reconcile.Request
	for i := range groups.Items {
		requests = append(requests, clusterOfUser(ctx, &groups.Items[i])...)
	}
	return requests
}

// requests lists objects of a kind that pass, all of them where pass is nil.
func (w wakers) requests(ctx context.Context, list client.ObjectList, pass func(client.Object) bool, options ...client.ListOption) []reconcile.Request {
	if err := w.client.List(ctx, list, options...); err != nil {
		// The cache is the only one that can fail here, and only before it has started.
		log.FromContext(ctx).Error(err, "finding who has to look again")
		return nil
	}
	var requests []reconcile.Request
	err := meta.EachListItem(list, func(item runtime.Object) error {
		if obj := item.(client.Object); pass == nil || pass(obj) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		}
		return nil
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "finding who has to look again")
	}
	return requests
}
