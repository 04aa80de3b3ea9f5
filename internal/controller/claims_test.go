package controller_test

import (
	"testing"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

// A resource that has a name keeps it, whoever comes to want it later.
func TestTopicHolderStays(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.TopicNaming = v1alpha1.NamingFree })
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.Namespace + ".contested" }
	// The older one is suspended from the beginning, and so claims without holding.
	older := h.Topic("a", name, func(topic *v1alpha1.Topic) { topic.Spec.Suspend = true })
	younger := h.Topic("b", name)
	h.Pass(younger)
	h.WantsStalled(younger, v1alpha1.ReasonConflict, "belongs to Topic "+h.Namespace+"/a, which claimed it first")
	h.Delete(older)
	h.WantsGone(older)
	h.PassUntilReady(younger)

	third := h.Topic("a", name)
	h.Pass(third)
	h.WantsStalled(third, v1alpha1.ReasonConflict, "belongs to Topic "+h.Namespace+"/b, which claimed it first")
	h.Pass(younger)
	h.WantsReady(younger)
}

func TestGroupOwner(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	id := func(group *v1alpha1.ConsumerGroup) { group.Spec.GroupID = h.Namespace + ".contested" }
	first := h.Group("a", id)
	second := h.Group("b", id)
	h.Pass(second)
	h.WantsStalled(second, v1alpha1.ReasonConflict, "belongs to ConsumerGroup "+h.Namespace+"/a, which claimed it first; nothing is touched")
	h.PassUntilReady(first)
	h.WantsBindings(first.Status.GroupID, kafka.ReadGroup("User:a", first.Status.GroupID)...)

	h.Delete(first)
	h.WantsGone(first)
	h.PassUntilReady(second)
	h.WantsBindings(second.Status.GroupID, kafka.ReadGroup("User:b", second.Status.GroupID)...)
}

// A group's dead letter topics are not to be had as a Topic, and a Topic is not
// to be had as a group's dead letter topic: that would be a way around the
// consent of its owner.
func TestLaneAndTopicClaimEachOther(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	payments := h.ReadyTopic("payments.retry", harness.DeleteData)
	h.Policy("standard")
	withPolicy := func(group *v1alpha1.ConsumerGroup) {
		group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "standard"}
	}

	thief := h.Group("payments", withPolicy)
	h.Pass(thief)
	h.WantsStalled(thief, v1alpha1.ReasonConflict,
		`topic "`+payments.Status.TopicName+`", which the dead letter policy needs, belongs to Topic `+h.Namespace+`/payments.retry; give this ConsumerGroup another spec.groupId`)
	h.WantsBindings(payments.Status.TopicName)

	billing := h.Group("billing", withPolicy)
	h.PassUntilReady(billing)
	for _, name := range []string{"billing.dlt", "billing.wait.1"} {
		topic := h.Topic(name, harness.DeleteData)
		h.Pass(topic)
		h.WantsStalled(topic, v1alpha1.ReasonConflict,
			`topic "`+h.Namespace+"."+name+`" on KafkaCluster "`+h.Namespace+`" is a dead letter topic of ConsumerGroup `+h.Namespace+`/billing`)
		h.Delete(topic)
		h.WantsGone(topic)
	}
}

// Two that came to hold a name at once, before the cache showed one to the
// other: the older one has it, and deleting the other deletes nothing.
func TestLoserOfARaceDeletesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.TopicNaming = v1alpha1.NamingFree })
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.Namespace + ".contested" }
	winner := h.ReadyTopic("a", name)
	loser := h.Topic("b", name, harness.DeleteData, func(topic *v1alpha1.Topic) { topic.Finalizers = []string{v1alpha1.Finalizer} })
	loser.Status.Cluster, loser.Status.TopicName = winner.Status.Cluster, winner.Status.TopicName
	h.Must(h.Live.Status().Update(t.Context(), loser))
	h.Pass(loser)
	h.WantsStalled(loser, v1alpha1.ReasonConflict, "belongs to Topic "+h.Namespace+"/a, which claimed it first")
	h.Pass(winner)
	h.WantsReady(winner)
	h.Delete(loser)
	h.WantsGone(loser)
	h.WantsTopic(kafka.Topic{Partitions: winner.Status.Partitions, Config: map[string]string{}}, winner)
}
