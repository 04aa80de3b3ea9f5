package controller

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/topic"
	"github.com/weir-dev/weir/internal/kafka"
)

// Sweeper finds drift: once an interval it looks at all topics of a cluster that
// are Weir's, in a handful of requests, and wakes the Topics that differ. It
// pays the deletions that are owed, and takes names out of the record whose
// topic is gone. The ACL bindings the writer of grants sweeps.
type Sweeper struct {
	client   client.Client
	clusters *pool.Clusters
	estates  *estate.Estates
	resync   time.Duration
	wake     func(record.Ref)
}

// Reconcile makes one sweep of a cluster.
func (s *Sweeper) Reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: s.resync}
	on := s.estates.Of(cluster.Name)
	if cluster.Spec.Suspend || !cluster.DeletionTimestamp.IsZero() || !settle.IsReady(cluster) || on == nil {
		return again, nil
	}
	connection, err := s.clusters.Current(ctx, cluster)
	if err != nil {
		return again, nil // the KafkaCluster's own pass reports it
	}
	place := estate.Place{Estate: on, Resource: cluster, Kafka: connection}
	if err := s.sweep(ctx, place); err != nil {
		return reconcile.Result{}, err
	}
	return again, place.Pay(ctx)
}

// sweep wakes the Topics that differ from what Kafka shows, and those that could
// not be looked at: their own passes say why.
func (s *Sweeper) sweep(ctx context.Context, place estate.Place) error {
	var declared []*v1alpha1.Topic
	names := map[string]struct{}{}
	err := s.clusters.Residents(ctx, place.Resource.Name, func(resident pool.Resident) {
		topic, ok := resident.(*v1alpha1.Topic)
		if ok && settle.WasReady(topic) && topic.DeletionTimestamp.IsZero() {
			declared = append(declared, topic)
			names[estate.TopicName(topic)] = struct{}{}
		}
	})
	if err != nil {
		return err
	}
	retained := place.Retained()
	for _, name := range retained {
		names[name] = struct{}{}
	}
	var all []string
	for name := range names {
		all = append(all, name)
	}
	topics, err := place.Kafka.ObserveTopics(ctx, all)
	if err != nil && len(topics) == 0 {
		return err
	}
	for _, one := range declared {
		name := estate.TopicName(one)
		recorded, _ := place.Entry(record.Key{Kind: record.Topic, Name: name})
		if topic.Drifted(place.Resource, one, recorded, topics[name]) {
			s.wake(estate.RefOf(one))
		}
	}
	return forgetGone(place, retained, topics)
}

// forgetGone takes the names out of the record that nobody claims and whose
// topic is gone: anybody may have them again.
func forgetGone(place estate.Place, retained []string, topics map[string]kafka.Topic) error {
	for _, name := range retained {
		if found, looked := topics[name]; looked && !found.Exists {
			if err := place.Note(record.Key{Kind: record.Topic, Name: name}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
