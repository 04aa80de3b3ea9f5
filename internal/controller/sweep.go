package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/topic"
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

// sweepTopics is how many topics are looked at together, so that memory does not
// grow with the cluster.
const sweepTopics = 1000

// sweep wakes the Topics that differ from what Kafka shows, and those that could
// not be looked at: their own passes say why. It takes the names out of the record
// that nobody claims and whose topic is gone: anybody may have them again.
func (s *Sweeper) sweep(ctx context.Context, place estate.Place) error {
	declared := map[string]*v1alpha1.Topic{}
	err := s.clusters.Residents(ctx, place.Resource.Name, func(resident pool.Resident) {
		topic, ok := resident.(*v1alpha1.Topic)
		if !ok || !settle.WasReady(topic) || !topic.DeletionTimestamp.IsZero() {
			return
		}
		name := estate.TopicName(topic)
		if recorded, _ := place.Entry(record.Key{Kind: record.Topic, Name: name}); recorded.Holder == estate.RefOf(topic) {
			declared[name] = topic
		}
	})
	if err != nil {
		return err
	}
	names := slices.AppendSeq(place.Retained(), maps.Keys(declared))
	for some := range slices.Chunk(names, sweepTopics) {
		topics, err := place.Kafka.ObserveTopics(ctx, some)
		if err != nil && len(topics) == 0 {
			return err
		}
		for _, name := range some {
			found, looked := topics[name]
			key := record.Key{Kind: record.Topic, Name: name}
			if one := declared[name]; one != nil {
				if recorded, _ := place.Entry(key); topic.Drifted(place.Resource, one, recorded, found) {
					s.wake(estate.RefOf(one))
				}
			} else if looked && !found.Exists {
				if err := place.Note(key, nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
