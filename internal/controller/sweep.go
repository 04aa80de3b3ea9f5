package controller

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// Sweeper finds drift: once an interval it looks at all topics and all ACL
// bindings of a cluster that are Weir's, in a handful of requests, and wakes
// the resources that differ. It changes nothing itself.
type Sweeper struct {
	base
	topics chan event.TypedGenericEvent[*v1alpha1.Topic]
	relays chan event.TypedGenericEvent[*v1alpha1.OutboxRelay]
	groups chan event.TypedGenericEvent[*v1alpha1.ConsumerGroup]
}

func newSweeper(b base) *Sweeper {
	return &Sweeper{
		base:   b,
		topics: make(chan event.TypedGenericEvent[*v1alpha1.Topic]),
		relays: make(chan event.TypedGenericEvent[*v1alpha1.OutboxRelay]),
		groups: make(chan event.TypedGenericEvent[*v1alpha1.ConsumerGroup]),
	}
}

// Reconcile makes one sweep of a cluster.
func (s *Sweeper) Reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: s.Resync}
	if cluster.Spec.Suspend || !cluster.DeletionTimestamp.IsZero() || !settle.IsReady(cluster) {
		return again, nil
	}
	connection, err := s.clusters.connect(ctx, cluster)
	if err != nil {
		return again, nil // the KafkaCluster's own pass reports it
	}
	drifted, err := s.drifted(ctx, cluster, connection)
	if err != nil {
		return reconcile.Result{}, err
	}
	for _, obj := range drifted {
		s.wake(ctx, obj)
	}
	return again, nil
}

// drifted are the resources on a cluster that differ from what Kafka shows, and
// the Topics that could not be looked at: their own passes say why.
func (s *Sweeper) drifted(ctx context.Context, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster) ([]client.Object, error) {
	err := s.ledger.fetch(ctx, cluster.Name, connection)
	if err != nil && !disabled(err) {
		return nil, err
	}
	enforced := err == nil
	var owners []client.Object
	var names []string
	err = eachOwner(ctx, s.Client, func(owner settle.Object) error {
		if clusterOf(owner) != cluster.Name || !settle.WasReady(owner) || !owner.GetDeletionTimestamp().IsZero() {
			return nil
		}
		owners = append(owners, owner)
		if topic, ok := owner.(*v1alpha1.Topic); ok {
			names = append(names, topic.Status.TopicName)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	topics, err := connection.ObserveTopics(ctx, names)
	if err != nil && len(topics) == 0 {
		return nil, err
	}
	return slices.DeleteFunc(owners, func(owner client.Object) bool {
		if enforced && s.ledger.lacks(cluster.Name, owner) {
			return false
		}
		topic, ok := owner.(*v1alpha1.Topic)
		return !ok || !topicDrifted(cluster, topic, topics[topic.Status.TopicName])
	}), nil
}

// topicDrifted says whether a topic is not what it was when its resource was
// last Ready.
func topicDrifted(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, have kafka.Topic) bool {
	plan := kafka.PlanTopic(topicSpec(cluster, topic, topic.Status.TopicName), have)
	return len(plan.Changes) > 0 || len(plan.Refused) > 0 || have.ID != topic.Status.TopicID
}

func (s *Sweeper) wake(ctx context.Context, obj client.Object) {
	switch o := obj.(type) {
	case *v1alpha1.Topic:
		send(ctx, s.topics, o)
	case *v1alpha1.OutboxRelay:
		send(ctx, s.relays, o)
	case *v1alpha1.ConsumerGroup:
		send(ctx, s.groups, o)
	case *v1alpha1.KafkaCluster: // looks at its own bindings at the same interval
	}
}

func send[T any](ctx context.Context, to chan event.TypedGenericEvent[T], obj T) {
	select {
	case to <- event.TypedGenericEvent[T]{Object: obj}:
	case <-ctx.Done():
	}
}
