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
	"github.com/weir-dev/weir/internal/controller/deadletterpolicy"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/internal/controller/pool"
)

// AddIndexes indexes the cache by what the rooms ask it.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return errors.Join(estate.AddIndexes(ctx, indexer), deadletterpolicy.AddIndex(ctx, indexer))
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
	client   client.Client
	clusters *pool.Clusters
}

// onCluster finds the objects of a kind that live on a KafkaCluster, and those
// that wait for one.
func (w wakers) onCluster(list func() client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, cluster client.Object) []reconcile.Request {
		return w.requests(ctx, list(), func(obj client.Object) bool {
			on := w.clusters.NameOf(obj.(pool.Resident))
			return on == "" || on == cluster.GetName()
		})
	}
}

// usersOfTopic finds the objects of a kind that refer to a Topic.
func (w wakers) usersOfTopic(list func() client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, topic client.Object) []reconcile.Request {
		return w.requests(ctx, list(), nil, client.MatchingFields{estate.TopicRefIndex: client.ObjectKeyFromObject(topic).String()})
	}
}

// topicsThatGo are the Topics that a ConsumerGroup or an OutboxRelay refers to
// and that may wait for it before they go.
func (w wakers) topicsThatGo(ctx context.Context, obj client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, key := range estate.TopicsOf(obj) {
		var topic v1alpha1.Topic
		if err := w.client.Get(ctx, key, &topic); err == nil && !topic.DeletionTimestamp.IsZero() {
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	return requests
}

// groupsOfPolicy finds the ConsumerGroups that use a DeadLetterPolicy.
func (w wakers) groupsOfPolicy(ctx context.Context, policy client.Object) []reconcile.Request {
	return w.requests(ctx, newGroupList(), nil, client.InNamespace(policy.GetNamespace()), client.MatchingFields{deadletterpolicy.Index: policy.GetName()})
}

// inNamespace finds the objects of a kind in a namespace whose labels changed.
func (w wakers) inNamespace(list func() client.ObjectList) handler.MapFunc {
	return func(ctx context.Context, namespace client.Object) []reconcile.Request {
		return w.requests(ctx, list(), nil, client.InNamespace(namespace.GetName()))
	}
}

// clusterOfUser is the KafkaCluster that a resource lives on.
func (w wakers) clusterOfUser(_ context.Context, obj client.Object) []reconcile.Request {
	name := w.clusters.NameOf(obj.(pool.Resident))
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}

// clusterOfWorker is the KafkaCluster whose retry worker an object belongs to.
func clusterOfWorker(_ context.Context, obj client.Object) []reconcile.Request {
	name, ok := kafkacluster.ClusterOfWorker(obj)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
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
		requests = append(requests, w.clusterOfUser(ctx, &groups.Items[i])...)
	}
	return requests
}

// requests lists objects of a kind that pass, all of them where pass is nil. Pass
// changes nothing in them: they are the cache's own.
func (w wakers) requests(ctx context.Context, list client.ObjectList, pass func(client.Object) bool, options ...client.ListOption) []reconcile.Request {
	if err := w.client.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
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
