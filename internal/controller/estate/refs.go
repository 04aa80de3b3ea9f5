package estate

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/record"
)

// The kinds of a record.Ref.
const (
	KindCluster = "KafkaCluster"
	KindTopic   = "Topic"
	KindRelay   = "OutboxRelay"
	KindGroup   = "ConsumerGroup"
)

// RefOf is how the record names a resource.
func RefOf(obj client.Object) record.Ref {
	var kind string
	switch obj.(type) {
	case *v1alpha1.KafkaCluster:
		kind = KindCluster
	case *v1alpha1.Topic:
		kind = KindTopic
	case *v1alpha1.OutboxRelay:
		kind = KindRelay
	case *v1alpha1.ConsumerGroup:
		kind = KindGroup
	default:
		panic(fmt.Sprintf("estate: %T owns nothing in Kafka", obj))
	}
	return record.Ref{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// TopicName is the name in Kafka of a Topic.
func TopicName(topic *v1alpha1.Topic) string {
	if topic.Spec.TopicName != "" {
		return topic.Spec.TopicName
	}
	return topic.Namespace + "." + topic.Name
}

// GroupID is the Kafka group ID of a ConsumerGroup.
func GroupID(group *v1alpha1.ConsumerGroup) string {
	if group.Spec.GroupID != "" {
		return group.Spec.GroupID
	}
	return group.Namespace + "." + group.Name
}

// RetryGroup is the consumer group by which the retry worker of a Kafka cluster
// reads. It is the same whichever KafkaCluster acts.
func RetryGroup(clusterID string) string { return "weir-retry-" + record.ShortID(clusterID) }
