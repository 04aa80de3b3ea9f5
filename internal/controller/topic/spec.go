package topic

import (
	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// spec is what a Topic wants of the seam.
func spec(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, name string) kafka.TopicSpec {
	defaults := cluster.Spec.Defaults
	return kafka.TopicSpec{
		Name:              name,
		Partitions:        ptr.Deref(topic.Spec.Partitions, 0),
		Replicas:          int16(ptr.Deref(topic.Spec.Replicas, 0)),
		Config:            topic.Spec.Config,
		Set:               convertValues[string](topic.Status.SetConfig),
		DefaultPartitions: ptr.Deref(defaults.Partitions, 0),
		DefaultReplicas:   int16(ptr.Deref(defaults.Replicas, 0)),
		DefaultConfig:     defaults.Config,
	}
}

// convertValues is a map of strings as one of another string type, nil where it
// is empty.
func convertValues[To, From ~string](from map[string]From) map[string]To {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]To, len(from))
	for key, value := range from {
		to[key] = To(value)
	}
	return to
}

// accessBindings are the ACL bindings of a Topic's access list.
func accessBindings(access []v1alpha1.Access, topic string) []kafka.Binding {
	var bindings []kafka.Binding
	for _, entry := range access {
		for _, right := range entry.Allow {
			switch right {
			case v1alpha1.Produce:
				bindings = append(bindings, kafka.Produce(entry.Principal, topic)...)
			case v1alpha1.Consume:
				bindings = append(bindings, kafka.Consume(entry.Principal, topic)...)
			}
		}
		for _, group := range entry.Groups {
			bindings = append(bindings, kafka.ReadGroup(entry.Principal, group)...)
		}
		for _, id := range entry.TransactionalIDs {
			bindings = append(bindings, kafka.ProduceTransactional(entry.Principal, id)...)
		}
	}
	return bindings
}

// Drifted says whether a topic is not what it was when its resource was
// last Ready.
func Drifted(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, have kafka.Topic) bool {
	plan := kafka.PlanTopic(spec(cluster, topic, topic.Status.TopicName), have)
	return len(plan.Changes) > 0 || len(plan.Refused) > 0 || have.ID != topic.Status.TopicID
}
