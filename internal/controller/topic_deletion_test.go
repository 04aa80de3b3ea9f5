package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestTopicInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	topic := h.readyTopic("orders", deleteData)
	group := h.group("billing")
	relay := h.relay("orders")
	h.delete(topic)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse,
		"deletionPolicy is Delete and the topic is still used by ConsumerGroup "+h.namespace+"/billing, OutboxRelay "+h.namespace+"/orders")
	h.delete(relay)
	h.pass(relay)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse, "still used by ConsumerGroup "+h.namespace+"/billing")
	h.delete(group)
	h.pass(group)
	h.events.take()
	h.wantsGone(topic)
	h.wantsEvents("Topic/orders TopicDeleted Delete: topic " + h.namespace + ".orders and its records are deleted, as deletionPolicy says")
}

func TestTopicInUseIsForced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	topic := h.readyTopic("orders", deleteData)
	h.group("billing")
	h.delete(topic)
	h.pass(topic)
	h.force(topic)
	h.wantsGone(topic)
	// Force lets the resource go; it deletes nothing.
	h.wantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}

func TestTopicDeletionWithoutBroker(t *testing.T) {
	t.Parallel()
	gated, gate := env.SharedGate(t)
	h := newHarnessOn(t, gated)
	cluster := h.cluster()
	topic := h.readyTopic("orders", withAccess)
	second := h.readyTopic("payments", withAccess)
	gate.Cut()
	h.delete(topic)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReconciling, metav1.ConditionTrue, kafka.Unreachable, orForceWords)
	h.force(topic)
	h.wantsGone(topic)

	h.delete(second)
	h.pass(second)
	h.pass(cluster)
	h.wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.Unreachable, "")
	gate.Reopen(t)
	h.await(func() string {
		if _, err := h.pass(second); err != nil {
			return err.Error()
		}
		if !h.gone(second) {
			return "the Topic did not go"
		}
		return ""
	})
	h.wantsBindings(second.Status.TopicName)
	// What was let go by force was left as it was.
	h.wantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
}

func TestTopicDeletionWithoutKafkaCluster(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders", withAccess, deleteData)
	h.force(cluster)
	h.delete(cluster)
	h.wantsGone(cluster)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "does not exist")
	h.delete(topic)
	h.wantsGone(topic)
}

func TestTopicDeletionOnASuspendedCluster(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders", withAccess)
	name := topic.Status.TopicName
	h.update(cluster, func() { cluster.Spec.Suspend = true })
	h.delete(topic)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "has not been looked at yet"+orForceWords)
	h.pass(cluster)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "is suspended"+orForceWords)
	h.wantsBindings(name, kafka.Produce("User:checkout", name)...)

	h.update(cluster, func() { cluster.Spec.Suspend = false })
	h.pass(cluster)
	h.wantsGone(topic)
	h.wantsBindings(name)
}

// The guard keeps Weir from deleting what has the same name elsewhere.
func TestTopicDeletionOnAnotherCluster(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders", deleteData)
	h.update(cluster, func() { cluster.Spec.ClusterID = "another" })
	h.pass(cluster)
	h.wantsStalled(cluster, v1alpha1.ReasonClusterIDMismatch, "")
	h.delete(topic)
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "leads to another cluster than spec.clusterId says"+orForceWords)
	h.wantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}

func TestDefaultCluster(t *testing.T) {
	// Not parallel: the default is one for all namespaces.
	h := newHarness(t)
	topic := h.topic("orders", func(topic *v1alpha1.Topic) { topic.Spec.ClusterRef = nil })
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
		"spec.clusterRef is absent and no KafkaCluster is the default; set spec.clusterRef, or annotate a KafkaCluster with weir.dev/is-default-cluster=true")

	byDefault := func(c *v1alpha1.KafkaCluster) {
		c.Annotations = map[string]string{v1alpha1.DefaultClusterAnnotation: "true"}
	}
	first := h.cluster(byDefault)
	h.passUntilReady(topic)
	second := h.cluster(byDefault, func(c *v1alpha1.KafkaCluster) { c.Name += "-2" })
	late := h.topic("late", func(topic *v1alpha1.Topic) { topic.Spec.ClusterRef = nil })
	h.pass(late)
	h.wants(late, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
		"several KafkaClusters carry weir.dev/is-default-cluster=true: "+first.Name+", "+second.Name+"; leave it on one")
	// Who is on a cluster stays there.
	h.pass(topic)
	h.wantsReady(topic)

	h.update(first, func() { first.Annotations = nil })
	h.passUntilReady(late)
	h.pass(topic)
	if late.Status.Cluster != second.Name || topic.Status.Cluster != first.Name {
		t.Errorf("the Topics are on %q and %q", topic.Status.Cluster, late.Status.Cluster)
	}
	h.update(second, func() { second.Annotations = nil })
}
