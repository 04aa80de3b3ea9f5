package controller_test

import (
	"testing"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

// A resource that has a name keeps it, whoever comes to want it later.
func TestTopicHolderStays(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.Namespace + ".contested" }
	holder := h.ReadyTopic("b", name)
	later := h.Topic("a", name, harness.DeleteData)
	h.Pass(later)
	h.WantsStalled(later, v1alpha1.ReasonConflict, "belongs to Topic "+h.Namespace+"/b; nothing is touched: use another name, or delete the other resource")
	h.Restart()
	h.PassUntilReady(holder)
	h.Delete(later)
	h.WantsGone(later)
	h.WantsTopic(kafka.Topic{Partitions: holder.Status.Partitions, Config: map[string]string{}}, holder)
}

// Whatever somebody writes into status, Kafka does not follow it.
func TestForgedStatusIsNoAuthority(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	winner := h.ReadyTopic("a")
	loser := h.Topic("b", harness.DeleteData)
	h.PassUntilReady(loser)
	h.Must(h.Live.Get(t.Context(), harness.KeyOf(loser), loser))
	loser.Status.TopicName, loser.Status.TopicID, loser.Status.Cluster = winner.Status.TopicName, winner.Status.TopicID, "another"
	h.Must(h.Live.Status().Update(t.Context(), loser))
	h.Delete(loser)
	h.WantsGone(loser)
	h.WantsTopic(kafka.Topic{Partitions: winner.Status.Partitions, Config: map[string]string{}}, winner)
}

func TestGroupOwner(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	id := func(group *v1alpha1.ConsumerGroup) { group.Spec.GroupID = h.Namespace + ".contested" }
	first := h.ReadyGroup("a", id)
	second := h.Group("b", id)
	h.Pass(second)
	h.WantsStalled(second, v1alpha1.ReasonConflict, "belongs to ConsumerGroup "+h.Namespace+"/a; nothing is touched")
	h.WantsBindings(first.Status.GroupID, kafka.ReadGroup("User:a", first.Status.GroupID)...)

	h.Delete(first)
	h.WantsGone(first)
	h.PassUntilReady(second)
	h.WantsBindings(second.Status.GroupID, kafka.ReadGroup("User:b", second.Status.GroupID)...)
}

// The retry worker's own group is nobody else's, whatever the KafkaCluster allows: who
// reads as that group may set its offsets.
func TestRetryWorkersGroupIsReserved(t *testing.T) {
	t.Parallel()
	h := harness.NewOn(t, harness.StartFake(t))
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Naming.Policy = v1alpha1.NamingFree })
	h.ReadyTopic("orders")
	id := estate.RetryGroup(cluster.Status.ClusterID)
	group := h.Group("thief", func(group *v1alpha1.ConsumerGroup) { group.Spec.GroupID = id })
	h.Pass(group)
	h.WantsStalled(group, v1alpha1.ReasonNameRefused, id+" is reserved")
	for _, pattern := range []string{id, "weir-*"} {
		topic := h.Topic("thief", func(topic *v1alpha1.Topic) {
			topic.Spec.Access = []v1alpha1.Access{{Principal: "User:thief", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{pattern}}}
		})
		h.Pass(topic)
		h.WantsStalled(topic, v1alpha1.ReasonNameRefused, id+" is reserved")
		h.Delete(topic)
		h.WantsGone(topic)
	}
	h.WantsBindings(id)
	h.WantsBindings("weir-")
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

	thief := h.Group("payments", harness.WithPolicy)
	h.Pass(thief)
	h.WantsStalled(thief, v1alpha1.ReasonConflict, `topic "`+payments.Status.TopicName+`" on KafkaCluster "`+h.Namespace+`" belongs to Topic `+h.Namespace+"/payments.retry")
	h.WantsBindings(payments.Status.TopicName)

	billing := h.ReadyGroup("billing", harness.WithPolicy)
	for _, name := range []string{"billing.dlt", "billing.wait.1"} {
		topic := h.Topic(name, harness.DeleteData)
		h.Pass(topic)
		h.WantsStalled(topic, v1alpha1.ReasonConflict, "belongs to ConsumerGroup "+h.Namespace+"/"+billing.Name)
		h.Delete(topic)
		h.WantsGone(topic)
	}

	// What is there already, and is nobody's in the record, is a stranger's.
	h.MakeTopic(h.Namespace+".audit.dlt", 1, map[string]string{"retention.ms": "-1"})
	audit := h.Group("audit", harness.WithPolicy)
	h.Pass(audit)
	h.WantsStalled(audit, v1alpha1.ReasonTopicExists, `topic "`+h.Namespace+`.audit.dlt", which the dead letter policy needs, is there and is not Weir's`)
}
