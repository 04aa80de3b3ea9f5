package controller

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/ledger"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/topic"
	"github.com/weir-dev/weir/internal/kafka"
)

// Sweeper finds drift: once an interval it looks at all topics and all ACL
// bindings of a cluster that are Weir's, in a handful of requests, and wakes
// the resources that differ. It changes nothing itself.
type Sweeper struct {
	client   client.Client
	clusters *pool.Clusters
	grants   ledger.Granter
	resync   time.Duration

	topics chan event.TypedGenericEvent[*v1alpha1.Topic]
	relays chan event.TypedGenericEvent[*v1alpha1.OutboxRelay]
	groups chan event.TypedGenericEvent[*v1alpha1.ConsumerGroup]
}

func newSweeper(c client.Client, clusters *pool.Clusters, grants ledger.Granter, resync time.Duration) *Sweeper {
	return &Sweeper{
		client: c, clusters: clusters, grants: grants, resync: resync,
		topics: make(chan event.TypedGenericEvent[*v1alpha1.Topic]),
		relays: make(chan event.TypedGenericEvent[*v1alpha1.OutboxRelay]),
		groups: make(chan event.TypedGenericEvent[*v1alpha1.ConsumerGroup]),
	}
}

// Reconcile makes one sweep of a cluster.
func (s *Sweeper) Reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: s.resync}
	if cluster.Spec.Suspend || !cluster.DeletionTimestamp.IsZero() || !settle.IsReady(cluster) {
		return again, nil
	}
	connection, err := s.clusters.Connect(ctx, cluster)
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
	err := s.grants.Fetch(ctx, cluster.Name, connection)
	if err != nil && !ledger.Disabled(err) {
		return nil, err
	}
	enforced := err == nil
	var owners []client.Object
	var names []string
	err = pool.EachOn(ctx, s.client, cluster.Name, func(owner client.Object) error {
		if !settle.WasReady(owner.(settle.Object)) || !owner.GetDeletionTimestamp().IsZero() {
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
		if enforced && s.grants.Lacks(cluster.Name, owner) {
			return false
		}
		declared, ok := owner.(*v1alpha1.Topic)
		return !ok || !topic.Drifted(cluster, declared, topics[declared.Status.TopicName])
	}), nil
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
