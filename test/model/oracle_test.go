package model

import (
	"maps"
	"slices"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// specs are the resources as they are declared now, by "namespace/name".
type specs struct {
	topics map[string]v1alpha1.Topic
	groups map[string]v1alpha1.ConsumerGroup
	labels map[string]map[string]string // of namespaces
}

// The oracle says what Kafka must be like. It shares no code with the product, and
// knows nothing of how that gets there.

func clusterOf(ref *v1alpha1.ClusterReference) string {
	if ref == nil {
		return clusters[0]
	}
	return ref.Name
}

func key(namespace, name string) string { return namespace + "/" + name }

// topicName is the name in Kafka.
func topicName(topic v1alpha1.Topic) string {
	if topic.Spec.TopicName != "" {
		return topic.Spec.TopicName
	}
	return topic.Namespace + "." + topic.Name
}

func groupID(group v1alpha1.ConsumerGroup) string {
	if group.Spec.GroupID != "" {
		return group.Spec.GroupID
	}
	return group.Namespace + "." + group.Name
}

// mayName says whether a namespace may name something: nobody has made a rule, so
// that it must lie in its own.
func mayName(namespace, name string) bool {
	return len(name) > len(namespace)+1 && name[:len(namespace)+1] == namespace+"."
}

// entitled are the ACLs that a Topic asks for and may have, and those that it asks
// for; the second have names that lie outside.
func topicACLs(topic v1alpha1.Topic) []acl {
	if !mayName(topic.Namespace, topicName(topic)) {
		return nil
	}
	var all []acl
	for _, access := range topic.Spec.Access {
		if slices.Contains(access.Allow, v1alpha1.Produce) {
			all = append(all, allow(access.Principal, "WRITE", "TOPIC", topicName(topic)))
		}
		if slices.Contains(access.Allow, v1alpha1.Consume) {
			all = append(all, allow(access.Principal, "READ", "TOPIC", topicName(topic)))
		}
		for _, group := range access.Groups {
			if mayName(topic.Namespace, group) {
				all = append(all, allow(access.Principal, "READ", "GROUP", group))
			}
		}
	}
	return all
}

func allow(principal, operation, resource, name string) acl {
	return aclOf("ALLOW", principal, operation, resource, "LITERAL", name)
}

// consents says whether a topic's owner lets a namespace read it.
func (s specs) consents(topic v1alpha1.Topic, namespace string) bool {
	if topic.Namespace == namespace {
		return true
	}
	switch rule := topic.Spec.AllowedConsumers.Namespaces; rule.From {
	case v1alpha1.FromAll:
		return true
	case v1alpha1.FromSelector:
		for label, value := range rule.Selector.MatchLabels {
			if s.labels[namespace][label] != value {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// groupACLs are the ACLs that a group asks for, with those that its Topics' owners
// refuse apart. Whole says that nothing is in its way.
func (s specs) groupACLs(group v1alpha1.ConsumerGroup) (all, refused []acl, whole bool) {
	principal, id := group.Spec.Principal, groupID(group)
	if !mayName(group.Namespace, id) {
		return nil, nil, false
	}
	whole = true
	all = append(all, allow(principal, "READ", "GROUP", id))
	for _, ref := range group.Spec.Topics {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = group.Namespace
		}
		topic, there := s.topics[key(namespace, ref.Name)]
		if !there {
			// What was granted on a topic whose Topic is missing is kept.
			all, whole = append(all, allow(principal, "READ", "TOPIC", namespace+"."+ref.Name)), false
			continue
		}
		read := allow(principal, "READ", "TOPIC", topicName(topic))
		switch {
		case !s.consents(topic, group.Namespace):
			refused, whole = append(refused, read), false
		case clusterOf(topic.Spec.ClusterRef) != clusterOf(group.Spec.ClusterRef), !mayName(topic.Namespace, topicName(topic)):
			whole = false
		default:
			all = append(all, read)
		}
	}
	if group.Spec.DeadLetterPolicyRef != nil {
		all = append(all, allow(principal, "WRITE", "TOPIC", id+".failed"), allow(principal, "READ", "TOPIC", id+".retry"))
	}
	return all, refused, whole
}

// wanted is what the resources want on a cluster: what must be granted, and what
// stays where it was granted.
type wanted struct{ must, keep map[acl]bool }

func (s specs) wanted(cluster string) wanted {
	all := wanted{map[acl]bool{}, map[acl]bool{}}
	add := func(to map[acl]bool, acls []acl) {
		for _, one := range acls {
			to[one] = true
		}
	}
	for _, topic := range s.topics {
		if clusterOf(topic.Spec.ClusterRef) != cluster {
			continue
		}
		if topic.Spec.Suspend || !topic.DeletionTimestamp.IsZero() {
			add(all.keep, topicACLs(topic))
		} else {
			add(all.must, topicACLs(topic))
		}
	}
	for _, group := range s.groups {
		if clusterOf(group.Spec.ClusterRef) != cluster {
			continue
		}
		acls, _, whole := s.groupACLs(group)
		if whole && !group.Spec.Suspend && s.readable(group) {
			add(all.must, acls)
		} else {
			add(all.keep, acls)
		}
		// What comes back to a group that has lost its policy it may still read.
		add(all.keep, []acl{allow(group.Spec.Principal, "READ", "TOPIC", groupID(group)+".retry")})
	}
	return all
}

// readable says whether all Topics of a group are followed: a Topic that is
// suspended before it was made is not there.
func (s specs) readable(group v1alpha1.ConsumerGroup) bool {
	for _, ref := range group.Spec.Topics {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = group.Namespace
		}
		if topic := s.topics[key(namespace, ref.Name)]; topic.Spec.Suspend || !topic.DeletionTimestamp.IsZero() {
			return false
		}
	}
	return true
}

// madeTopics are the topics that must be there for the resources on a cluster, by
// name, with the config that must be set.
func (s specs) madeTopics(cluster string) map[string]v1alpha1.Topic {
	all := map[string]v1alpha1.Topic{}
	for _, topic := range s.topics {
		if clusterOf(topic.Spec.ClusterRef) == cluster && mayName(topic.Namespace, topicName(topic)) && !topic.Spec.Suspend && topic.DeletionTimestamp.IsZero() {
			all[topicName(topic)] = topic
		}
	}
	return all
}

func union(sets ...map[acl]bool) map[acl]bool {
	all := map[acl]bool{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}
