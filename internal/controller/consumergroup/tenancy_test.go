package consumergroup_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

// neighbour is a namespace of another team.
func neighbour(h *harness.Harness) string {
	h.Helper()
	name := h.Namespace + "-neighbour"
	h.Must(h.Live.Create(h.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	return name
}

// consentingToAll makes a Topic's consumers those of all namespaces.
func consentingToAll(topic *v1alpha1.Topic) {
	topic.Spec.AllowedConsumers.Namespaces.From = v1alpha1.FromAll
}

// reader is a Ready group of a neighbour's that reads the team's Topic orders.
func reader(h *harness.Harness) *v1alpha1.ConsumerGroup {
	h.Helper()
	return h.ReadyGroup("reader", func(group *v1alpha1.ConsumerGroup) {
		group.Namespace, group.Spec.GroupID = neighbour(h), ""
		group.Spec.Topics[0].Namespace = h.Namespace
	})
}

// Consent that is withdrawn counts for a reader that is suspended too, and nothing
// is left of it in Kafka when it goes.
func TestConsentOfASuspendedReader(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.OnePartition, consentingToAll)
	group := reader(h)
	h.WantsBindings(topic.Status.TopicName, kafka.Consume("User:reader", topic.Status.TopicName)...)
	h.Update(group, func() { group.Spec.Suspend = true })
	_, _ = h.Pass(group)
	h.Update(topic, func() { topic.Spec.AllowedConsumers.Namespaces.From = v1alpha1.FromSame })
	h.PassUntilReady(topic)
	_, _ = h.Pass(group)
	h.WantsBindings(topic.Status.TopicName)
	id := group.Status.GroupID
	h.Delete(group)
	h.WantsGone(group)
	h.WantsBindings(id)
}

// The consent is that of the Topic which has the name: a reader keeps nothing of an
// earlier one's.
func TestConsentOfAnotherTopic(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.OnePartition, consentingToAll)
	name := topic.Status.TopicName
	group := reader(h)
	h.Delete(topic)
	h.WantsGone(topic)
	_, _ = h.Pass(group)
	h.WantsBindings(name, kafka.Consume("User:reader", name)...) // it may come back
	h.ReadyTopic("orders-v2", harness.OnePartition, func(topic *v1alpha1.Topic) { topic.Spec.TopicName = name })
	_, _ = h.Pass(group)
	h.WantsBindings(name)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonTopicNotFound, "Topic "+h.Namespace+"/orders does not exist")
}

// A namespace that the KafkaCluster does not admit claims nothing, however old its
// claim; and one that is not admitted any more loses what it was granted.
func TestNamespacesThatAreNotAdmitted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Naming = v1alpha1.ClusterNaming{Policy: v1alpha1.NamingFree}
		c.Spec.Namespaces = v1alpha1.ClusterNamespaces{From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{
			MatchLabels: map[string]string{corev1.LabelMetadataName: h.Namespace},
		}}
	})
	id := func(group *v1alpha1.ConsumerGroup) { group.Spec.GroupID = h.Namespace + ".billing" }
	squatter := h.Group("squatter", id, func(group *v1alpha1.ConsumerGroup) { group.Namespace = neighbour(h) })
	_, _ = h.Pass(squatter)
	h.WantsStalled(squatter, v1alpha1.ReasonNamespaceRefused, "does not admit namespace")
	topic := h.ReadyTopic("orders", harness.OnePartition, harness.WithAccess)
	group := h.ReadyGroup("billing", id)
	h.WantsBindings(topic.Status.TopicName, append(kafka.Produce("User:checkout", topic.Status.TopicName), kafka.Consume("User:billing", topic.Status.TopicName)...)...)

	h.Update(cluster, func() { cluster.Spec.Namespaces.Selector.MatchLabels = map[string]string{"nobody": "has-it"} })
	h.PassUntilReady(cluster)
	_, _ = h.Pass(topic)
	h.WantsStalled(topic, v1alpha1.ReasonNamespaceRefused, "does not admit namespace")
	_, _ = h.Pass(group)
	h.WantsBindings(topic.Status.TopicName)
	h.WantsBindings(h.Namespace + ".billing")
}
