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

func TestTopicInUseIsRetained(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	h.Group("billing")
	h.Delete(topic)
	h.Pass(topic)
	h.Update(topic, func() { topic.Spec.DeletionPolicy = v1alpha1.Retain })
	h.WantsGone(topic)
	h.WantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}

// Whoever was never admitted keeps nobody's topic.
func TestStrangerDoesNotBlockDeletion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	stranger := h.Group("stranger", func(group *v1alpha1.ConsumerGroup) {
		group.Namespace = h.Operator
		group.Spec.Topics = []v1alpha1.TopicReference{{Namespace: h.Namespace, Name: "orders"}}
	})
	h.Pass(stranger)
	h.Delete(topic)
	h.WantsGone(topic)
}

// A topic that somebody else has made under the name of one that is gone stays.
func TestTopicOfAnotherIDIsNotDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	h.DropTopic(topic.Status.TopicName)
	another := h.MakeTopic(topic.Status.TopicName, 1, nil)
	h.Delete(topic)
	h.WantsGone(topic)
	if got, err := h.Admin().ObserveTopic(t.Context(), another.Name); err != nil || got.ID != another.ID {
		t.Errorf("the other topic is %+v, %v", got, err)
	}
}

// Grants need nobody to wait for: they are taken back when Kafka is there again.
func TestTopicDeletionWithoutBroker(t *testing.T) {
	t.Parallel()
	gated, gate := env.SharedGate(t)
	h := harness.NewOn(t, gated)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	deleted := h.ReadyTopic("payments", harness.WithAccess, harness.DeleteData)
	gate.Cut()
	h.Delete(topic)
	h.Pass(topic)
	if !h.Gone(topic) {
		t.Error("the Topic did not go")
	}
	h.Delete(deleted)
	h.Pass(deleted)
	h.Wants(deleted, v1alpha1.ConditionReconciling, metav1.ConditionTrue, kafka.Unreachable,
		"; the Topic goes without its topic at once where spec.deletionPolicy is set to Retain")
	h.Pass(cluster)
	h.Wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.Unreachable, "")
	gate.Reopen(t)
	h.Await(func() string {
		if _, err := h.Pass(deleted); err != nil {
			return err.Error()
		}
		if !h.Gone(deleted) {
			return "the Topic did not go"
		}
		return ""
	})
	h.WantsBindings(topic.Status.TopicName)
	h.WantsBindings(deleted.Status.TopicName)
}

// What was made on a cluster stays while no KafkaCluster leads there.
func TestTopicDeletionWithoutKafkaCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess, harness.DeleteData)
	h.Delete(cluster)
	h.Pass(cluster)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "does not exist")
	h.Delete(topic)
	h.WantsGone(topic)
	h.WantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
	h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
}

func TestTopicDeletionOnASuspendedCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess, harness.DeleteData)
	name := topic.Status.TopicName
	h.Update(cluster, func() { cluster.Spec.Suspend = true })
	h.Pass(cluster)
	h.Delete(topic)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "is suspended")
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
	if h.Gone(topic) {
		t.Error("the Topic went")
	}
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
	unused := h.ClusterSpec()
	unused.Name += "-2"
	byDefault(unused)
	h.Create(unused)
	first := h.Cluster(byDefault)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
		"several KafkaClusters carry weir.dev/is-default-cluster=true: "+first.Name+", "+unused.Name+"; leave it on one")
	h.Update(unused, func() { unused.Annotations = nil })
	h.PassUntilReady(topic)

	// Who is on a cluster stays there, also those who come later.
	h.Update(first, func() { delete(first.Annotations, v1alpha1.DefaultClusterAnnotation) })
	h.Update(unused, func() { byDefault(unused) })
	late := h.Topic("late", func(topic *v1alpha1.Topic) { topic.Spec.ClusterRef = nil })
	h.PassUntilReady(late)
	h.Restart()
	h.PassUntilReady(topic)
	if late.Status.Cluster != first.Name || topic.Status.Cluster != first.Name {
		t.Errorf("the Topics are on %q and %q", topic.Status.Cluster, late.Status.Cluster)
	}
	h.Update(unused, func() { unused.Annotations = nil })
}
