package claims

import (
	"strings"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// TopicName is the name in Kafka of a Topic under a cluster's rule; an error
// (a halt) where it leaves the namespace's part of the names.
func TopicName(naming v1alpha1.TopicNaming, topic *v1alpha1.Topic) (string, error) {
	name := topic.Spec.TopicName
	if naming == v1alpha1.NamingFree {
		if name == "" {
			name = topic.Name
		}
		return name, nil
	}
	prefix := topic.Namespace + "."
	if name == "" {
		name = prefix + topic.Name
	}
	// A name that this resource owns already stays valid: the rule applies to
	// topics that are declared after it.
	if !strings.HasPrefix(name, prefix) && topic.Status.TopicName != name {
		return "", halt.Stall(kafka.InvalidTopicName,
			"spec.topicName %q must begin with %q, since the cluster's topicNaming is Namespaced", name, prefix)
	}
	return name, nil
}

// PossibleNames are the names that a Topic may have, whatever its cluster's
// rule; claims are looked up by them.
func PossibleNames(topic *v1alpha1.Topic) []string {
	if topic.Spec.TopicName != "" {
		return []string{topic.Spec.TopicName}
	}
	return []string{topic.Namespace + "." + topic.Name, topic.Name}
}

// GroupID is the Kafka group ID of a ConsumerGroup.
func GroupID(group *v1alpha1.ConsumerGroup) string {
	if group.Spec.GroupID != "" {
		return group.Spec.GroupID
	}
	return group.Name
}
