package pool

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// ClusterOf names the KafkaCluster that a resource lives on; empty before its
// first pass.
func ClusterOf(obj client.Object) string {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return o.Name
	case *v1alpha1.Topic:
		return o.Status.Cluster
	case *v1alpha1.OutboxRelay:
		return o.Status.Cluster
	case *v1alpha1.ConsumerGroup:
		return o.Status.Cluster
	}
	panic(fmt.Sprintf("controller: %T is on no cluster", obj))
}

// EachOn calls fn with every resource on a cluster, and with the KafkaCluster.
func EachOn(ctx context.Context, reader client.Reader, cluster string, fn func(client.Object) error) error {
	for _, list := range []client.ObjectList{
		&v1alpha1.KafkaClusterList{}, &v1alpha1.TopicList{}, &v1alpha1.OutboxRelayList{}, &v1alpha1.ConsumerGroupList{},
	} {
		if err := reader.List(ctx, list); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if obj := item.(client.Object); ClusterOf(obj) == cluster {
				return fn(obj)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
