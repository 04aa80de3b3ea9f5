package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// DriftedOn is what a sweep of a cluster would wake.
func (s *Sweeper) DriftedOn(ctx context.Context, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster) ([]client.Object, error) {
	return s.drifted(ctx, cluster, connection)
}

// WokenTopics are the Topics that sweeps wake.
func (s *Sweeper) WokenTopics() <-chan event.TypedGenericEvent[*v1alpha1.Topic] { return s.topics }
