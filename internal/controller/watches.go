package controller

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// passTimeout bounds one pass: the requests of the seam have deadlines of their
// own, and a pass makes few of them.
const passTimeout = time.Minute

// build wires the reconcilers to what wakes them.
func (s *Operator) build(mgr manager.Manager, concurrency int) error {
	c := mgr.GetClient()
	wake := wakers{client: c, clusters: s.Clusters}
	named := func(name string, obj client.Object, by reconcile.Reconciler) *builder.Builder {
		passes := []predicate.Predicate{changed}
		if ends, ok := by.(interface{ deletions() predicate.Predicate }); ok {
			passes = append(passes, ends.deletions())
		}
		return builder.ControllerManagedBy(mgr).Named(name).
			For(obj, builder.WithPredicates(passes...)).
			WithOptions(controller.Options{
				MaxConcurrentReconciles: concurrency,
				ReconciliationTimeout:   passTimeout,
				RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 10*time.Second),
			})
	}
	onCluster := func(list func() client.ObjectList) handler.EventHandler {
		return handler.EnqueueRequestsFromMapFunc(wake.onCluster(list))
	}

	for name, err := range map[string]error{
		"kafkacluster": named("kafkacluster", &v1alpha1.KafkaCluster{}, s.Cluster).
			Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(clusterOfWorker)).
			Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(clusterOfWorker)).
			Watches(&v1alpha1.ConsumerGroup{}, handler.EnqueueRequestsFromMapFunc(wake.clusterOfUser), builder.WithPredicates(laneChanged)).
			Watches(&v1alpha1.DeadLetterPolicy{}, handler.EnqueueRequestsFromMapFunc(wake.clustersOfPolicy), builder.WithPredicates(scheduleChanged)).
			WatchesRawSource(s.alarms.cluster.source()).
			Complete(s.Cluster),
		"topic": named("topic", &v1alpha1.Topic{}, s.Topic).
			Watches(&v1alpha1.KafkaCluster{}, onCluster(newTopicList), builder.WithPredicates(clusterChanged)).
			Watches(&v1alpha1.ConsumerGroup{}, handler.EnqueueRequestsFromMapFunc(wake.topicsThatGo), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			Watches(&v1alpha1.OutboxRelay{}, handler.EnqueueRequestsFromMapFunc(wake.topicsThatGo), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(wake.inNamespace(newTopicList)), builder.WithPredicates(relabelled)).
			WatchesRawSource(s.alarms.topic.source()).
			Complete(s.Topic),
		"outboxrelay": named("outboxrelay", &v1alpha1.OutboxRelay{}, s.Relay).
			Owns(&appsv1.Deployment{}).Owns(&corev1.ConfigMap{}).
			Watches(&v1alpha1.Topic{}, handler.EnqueueRequestsFromMapFunc(wake.usersOfTopic(newRelayList)), builder.WithPredicates(topicChanged)).
			Watches(&v1alpha1.KafkaCluster{}, onCluster(newRelayList), builder.WithPredicates(clusterChanged)).
			Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(wake.inNamespace(newRelayList)), builder.WithPredicates(relabelled)).
			WatchesRawSource(s.alarms.relay.source()).
			Complete(s.Relay),
		"consumergroup": named("consumergroup", &v1alpha1.ConsumerGroup{}, s.Group).
			Watches(&v1alpha1.Topic{}, handler.EnqueueRequestsFromMapFunc(wake.usersOfTopic(newGroupList)), builder.WithPredicates(topicChanged)).
			Watches(&v1alpha1.DeadLetterPolicy{}, handler.EnqueueRequestsFromMapFunc(wake.groupsOfPolicy), builder.WithPredicates(scheduleChanged)).
			Watches(&v1alpha1.KafkaCluster{}, onCluster(newGroupList), builder.WithPredicates(clusterChanged)).
			Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(wake.inNamespace(newGroupList)), builder.WithPredicates(relabelled)).
			WatchesRawSource(s.alarms.group.source()).
			Complete(s.Group),
		"deadletterpolicy": named("deadletterpolicy", &v1alpha1.DeadLetterPolicy{}, s.Policy).
			Watches(&v1alpha1.ConsumerGroup{}, handler.EnqueueRequestsFromMapFunc(policyOfGroup), builder.WithPredicates(depthChanged)).
			Complete(s.Policy),
		"sweep": named("sweep", &v1alpha1.KafkaCluster{}, nil).
			Complete(reconcile.AsReconciler(c, s.Sweeper)),
	} {
		if err != nil {
			return fmt.Errorf("setting up controller %s: %w", name, err)
		}
	}
	return nil
}

func newTopicList() client.ObjectList { return &v1alpha1.TopicList{} }

func newRelayList() client.ObjectList { return &v1alpha1.OutboxRelayList{} }

func newGroupList() client.ObjectList { return &v1alpha1.ConsumerGroupList{} }

var (
	// changed passes what a person did to an object; deletion raises the
	// generation too. Status does not wake its own writer.
	changed = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	// clusterChanged passes a KafkaCluster that others may have waited for, or that
	// says something else about them now.
	clusterChanged = updates(func(before, now *v1alpha1.KafkaCluster) bool {
		return (!settle.WasReady(before) && settle.WasReady(now)) ||
			before.Annotations[v1alpha1.DefaultClusterAnnotation] != now.Annotations[v1alpha1.DefaultClusterAnnotation]
	})
	// relabelled passes a namespace of which a selector may say something else now.
	relabelled = predicate.And[client.Object](predicate.LabelChangedPredicate{}, predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	})
	topicChanged = updates(func(before, now *v1alpha1.Topic) bool {
		return before.Generation != now.Generation || before.Status.TopicID != now.Status.TopicID ||
			before.Status.Partitions != now.Status.Partitions || before.Status.TopicName != now.Status.TopicName
	})
	scheduleChanged = updates(func(before, now *v1alpha1.DeadLetterPolicy) bool {
		return before.Generation != now.Generation || settle.WasReady(before) != settle.WasReady(now) ||
			!equality.Semantic.DeepEqual(before.Status.Schedule, now.Status.Schedule)
	})
	laneChanged = updates(func(before, now *v1alpha1.ConsumerGroup) bool {
		return before.Generation != now.Generation || waitTopics(before) != waitTopics(now)
	})
	depthChanged = updates(func(before, now *v1alpha1.ConsumerGroup) bool {
		return before.Generation != now.Generation || !equality.Semantic.DeepEqual(before.Status.DeadLetters, now.Status.DeadLetters)
	})
)

// updates passes creations and deletions, and the updates that differ says.
func updates[T client.Object](differ func(before, now T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return differ(e.ObjectOld.(T), e.ObjectNew.(T))
	}}
}

// waitTopics is −1 for a group without a lane.
func waitTopics(group *v1alpha1.ConsumerGroup) int32 {
	if group.Status.DeadLetters == nil {
		return -1
	}
	return group.Status.DeadLetters.WaitTopics
}
