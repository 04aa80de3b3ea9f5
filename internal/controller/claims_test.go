package controller

import (
	"testing"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// A resource that has a name keeps it, whoever comes to want it later.
func TestTopicHolderStays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.TopicNaming = v1alpha1.NamingFree })
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.namespace + ".contested" }
	// The older one is suspended from the beginning, and so claims without holding.
	older := h.topic("a", name, func(topic *v1alpha1.Topic) { topic.Spec.Suspend = true })
	younger := h.topic("b", name)
	h.pass(younger)
	h.wantsStalled(younger, v1alpha1.ReasonConflict, "belongs to Topic "+h.namespace+"/a, which claimed it first")
	h.delete(older)
	h.wantsGone(older)
	h.passUntilReady(younger)

	third := h.topic("a", name)
	h.pass(third)
	h.wantsStalled(third, v1alpha1.ReasonConflict, "belongs to Topic "+h.namespace+"/b, which claimed it first")
	h.pass(younger)
	h.wantsReady(younger)
}

func TestGroupOwner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	h.readyTopic("orders")
	id := func(group *v1alpha1.ConsumerGroup) { group.Spec.GroupID = h.namespace + ".contested" }
	first := h.group("a", id)
	second := h.group("b", id)
	h.pass(second)
	h.wantsStalled(second, v1alpha1.ReasonConflict, "belongs to ConsumerGroup "+h.namespace+"/a, which claimed it first; nothing is touched")
	h.passUntilReady(first)
	h.wantsBindings(first.Status.GroupID, kafka.ReadGroup("User:a", first.Status.GroupID)...)

	h.delete(first)
	h.wantsGone(first)
	h.passUntilReady(second)
	h.wantsBindings(second.Status.GroupID, kafka.ReadGroup("User:b", second.Status.GroupID)...)
}

// A group's dead letter topics are not to be had as a Topic, and a Topic is not
// to be had as a group's dead letter topic: that would be a way around the
// consent of its owner.
func TestLaneAndTopicClaimEachOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	h.readyTopic("orders")
	payments := h.readyTopic("payments.retry", deleteData)
	h.policy("standard")
	withPolicy := func(group *v1alpha1.ConsumerGroup) {
		group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "standard"}
	}

	thief := h.group("payments", withPolicy)
	h.pass(thief)
	h.wantsStalled(thief, v1alpha1.ReasonConflict,
		`topic "`+payments.Status.TopicName+`", which the dead letter policy needs, belongs to Topic `+h.namespace+`/payments.retry; give this ConsumerGroup another spec.groupId`)
	h.wantsBindings(payments.Status.TopicName)

	billing := h.group("billing", withPolicy)
	h.passUntilReady(billing)
	for _, name := range []string{"billing.dlt", "billing.wait.1"} {
		topic := h.topic(name, deleteData)
		h.pass(topic)
		h.wantsStalled(topic, v1alpha1.ReasonConflict,
			`topic "`+h.namespace+"."+name+`" on KafkaCluster "`+h.namespace+`" is a dead letter topic of ConsumerGroup `+h.namespace+`/billing`)
		h.delete(topic)
		h.wantsGone(topic)
	}
}

// Two that came to hold a name at once, before the cache showed one to the
// other: the older one has it, and deleting the other deletes nothing.
func TestLoserOfARaceDeletesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.TopicNaming = v1alpha1.NamingFree })
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.namespace + ".contested" }
	winner := h.readyTopic("a", name)
	loser := h.topic("b", name, deleteData, func(topic *v1alpha1.Topic) { topic.Finalizers = []string{v1alpha1.Finalizer} })
	loser.Status.Cluster, loser.Status.TopicName = winner.Status.Cluster, winner.Status.TopicName
	h.must(h.live.Status().Update(t.Context(), loser))
	h.pass(loser)
	h.wantsStalled(loser, v1alpha1.ReasonConflict, "belongs to Topic "+h.namespace+"/a, which claimed it first")
	h.pass(winner)
	h.wantsReady(winner)
	h.delete(loser)
	h.wantsGone(loser)
	h.wantsTopic(kafka.Topic{Partitions: winner.Status.Partitions, Config: map[string]string{}}, winner)
}
