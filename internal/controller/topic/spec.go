package topic

import (
	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// specOf is what a Topic wants of the seam, given what the record has of the topic.
func specOf(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, recorded record.Entry) kafka.TopicSpec {
	defaults := cluster.Spec.Defaults
	return kafka.TopicSpec{
		Name:              estate.TopicName(topic),
		Partitions:        ptr.Deref(topic.Spec.Partitions, 0),
		Replicas:          int16(ptr.Deref(topic.Spec.Replicas, 0)),
		Config:            topic.Spec.Config,
		Set:               recorded.Set,
		DefaultPartitions: ptr.Deref(defaults.Partitions, 0),
		DefaultReplicas:   int16(ptr.Deref(defaults.Replicas, 0)),
		DefaultConfig:     defaults.Config,
	}
}

// Drifted says whether a topic is not what it was when its resource was
// last Ready, of which the record has this.
func Drifted(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, recorded record.Entry, have kafka.Topic) bool {
	plan := kafka.PlanTopic(specOf(cluster, topic, recorded), have)
	return len(plan.Changes) > 0 || len(plan.Refused) > 0 || have.ID != recorded.ID
}
