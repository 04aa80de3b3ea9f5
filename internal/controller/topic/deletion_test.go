package topic_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestTopicInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	group := h.Group("billing")
	relay := h.Relay("orders")
	h.Delete(topic)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse,
		"deletionPolicy is Delete and the topic is still used by ConsumerGroup "+h.Namespace+"/billing, OutboxRelay "+h.Namespace+"/orders")
	h.Delete(relay)
	h.Pass(relay)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse, "still used by ConsumerGroup "+h.Namespace+"/billing")
	h.Delete(group)
	h.Pass(group)
	h.Events.Take()
	h.WantsGone(topic)
	h.WantsEvents("Topic/orders TopicDeleted Delete: topic " + h.Namespace + ".orders and its records are deleted, as deletionPolicy says")
}

func TestTopicInUseIsForced(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	h.Group("billing")
	h.Delete(topic)
	h.Pass(topic)
	h.Force(topic)
	h.WantsGone(topic)
	// Force lets the resource go; it deletes nothing.
	h.WantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}

func TestTopicDeletionWithoutBroker(t *testing.T) {
	t.Parallel()
	gated, gate := env.SharedGate(t)
	h := harness.NewOn(t, gated)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	second := h.ReadyTopic("payments", harness.WithAccess)
	gate.Cut()
	h.Delete(topic)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReconciling, metav1.ConditionTrue, kafka.Unreachable, harness.OrForceWords)
	h.Force(topic)
	h.WantsGone(topic)

	h.Delete(second)
	h.Pass(second)
	h.Pass(cluster)
	h.Wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.Unreachable, "")
	gate.Reopen(t)
	h.Await(func() string {
		if _, err := h.Pass(second); err != nil {
			return err.Error()
		}
		if !h.Gone(second) {
			return "the Topic did not go"
		}
		return ""
	})
	h.WantsBindings(second.Status.TopicName)
	// What was let go by force was left as it was.
	h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
}

func TestTopicDeletionWithoutKafkaCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess, harness.DeleteData)
	h.Force(cluster)
	h.Delete(cluster)
	h.WantsGone(cluster)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "does not exist")
	h.Delete(topic)
	h.WantsGone(topic)
}

func TestTopicDeletionOnASuspendedCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	name := topic.Status.TopicName
	h.Update(cluster, func() { cluster.Spec.Suspend = true })
	h.Delete(topic)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "has not been looked at yet"+harness.OrForceWords)
	h.Pass(cluster)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "is suspended"+harness.OrForceWords)
	h.WantsBindings(name, kafka.Produce("User:checkout", name)...)

	h.Update(cluster, func() { cluster.Spec.Suspend = false })
	h.Pass(cluster)
	h.WantsGone(topic)
	h.WantsBindings(name)
}

// The guard keeps Weir from deleting what has the same name elsewhere.
func TestTopicDeletionOnAnotherCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	h.Update(cluster, func() { cluster.Spec.ClusterID = "another" })
	h.Pass(cluster)
	h.WantsStalled(cluster, v1alpha1.ReasonClusterIDMismatch, "")
	h.Delete(topic)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "leads to another cluster than spec.clusterId says"+harness.OrForceWords)
	h.WantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}

func TestDefaultCluster(t *testing.T) {
	// Not parallel: the default is one for all namespaces.
	h := harness.New(t)
	topic := h.Topic("orders", func(topic *v1alpha1.Topic) { topic.Spec.ClusterRef = nil })
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
		"spec.clusterRef is absent and no KafkaCluster is the default; set spec.clusterRef, or annotate a KafkaCluster with weir.dev/is-default-cluster=true")

	byDefault := func(c *v1alpha1.KafkaCluster) {
		c.Annotations = map[string]string{v1alpha1.DefaultClusterAnnotation: "true"}
	}
	first := h.Cluster(byDefault)
	h.PassUntilReady(topic)
	second := h.Cluster(byDefault, func(c *v1alpha1.KafkaCluster) { c.Name += "-2" })
	late := h.Topic("late", func(topic *v1alpha1.Topic) { topic.Spec.ClusterRef = nil })
	h.Pass(late)
	h.Wants(late, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
		"several KafkaClusters carry weir.dev/is-default-cluster=true: "+first.Name+", "+second.Name+"; leave it on one")
	// Who is on a cluster stays there.
	h.Pass(topic)
	h.WantsReady(topic)

	h.Update(first, func() { first.Annotations = nil })
	h.PassUntilReady(late)
	h.Pass(topic)
	if late.Status.Cluster != second.Name || topic.Status.Cluster != first.Name {
		t.Errorf("the Topics are on %q and %q", topic.Status.Cluster, late.Status.Cluster)
	}
	h.Update(second, func() { second.Annotations = nil })
}
