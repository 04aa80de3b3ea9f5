package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

func TestTopicIsCreatedGrownAndConfigured(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	topic := h.readyTopic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Partitions = new(int32(2))
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000", "cleanup.policy": "compact"}
	})
	h.wantsTopic(kafka.Topic{Partitions: 2, Config: map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact"}}, topic)

	h.update(topic, func() {
		topic.Spec.Partitions = new(int32(4))
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "7200000"}
	})
	h.passUntilReady(topic)
	h.wantsTopic(kafka.Topic{Partitions: 4, Config: map[string]string{"retention.ms": "7200000"}}, topic)
	if diff := cmp.Diff(map[string]v1alpha1.ConfigValue{"retention.ms": "7200000"}, topic.Status.SetConfig); diff != "" {
		t.Errorf("status.setConfig (-want +got):\n%s", diff)
	}
}

func TestTopicOwner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.TopicNaming = v1alpha1.NamingFree })
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.namespace + ".contested" }
	first := h.topic("a-first", name)
	second := h.topic("b-second", name, func(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData })
	h.passUntilReady(first)
	h.pass(second)
	h.wantsStalled(second, v1alpha1.ReasonConflict, "belongs to Topic "+h.namespace+"/a-first, which claimed it first; nothing is touched: give this Topic another spec.topicName, or delete it")

	// The loser deletes nothing, whatever its deletionPolicy.
	h.delete(second)
	h.pass(second)
	if !h.gone(second) {
		t.Error("the loser did not go")
	}
	h.wantsTopic(kafka.Topic{Partitions: first.Status.Partitions, Config: map[string]string{}}, first)
}

func TestTopicDeletion(t *testing.T) {
	t.Parallel()
	access := []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
	for policy, stays := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.Retain: true, v1alpha1.DeleteData: false} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.cluster()
			topic := h.readyTopic("orders", func(topic *v1alpha1.Topic) {
				topic.Spec.DeletionPolicy = policy
				topic.Spec.Access = access
			})
			h.wantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
			h.delete(topic)
			h.pass(topic)
			if !h.gone(topic) {
				t.Fatal("the Topic did not go")
			}
			h.wantsBindings(topic.Status.TopicName)
			h.await(func() string {
				got, err := h.admin().ObserveTopic(t.Context(), topic.Status.TopicName)
				if err != nil {
					return err.Error()
				}
				if got.Exists != stays {
					return "the topic's existence is not " + map[bool]string{true: "kept", false: "ended"}[stays]
				}
				return ""
			})
		})
	}
}

func TestTopicNames(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	outside := h.topic("outside", func(topic *v1alpha1.Topic) { topic.Spec.TopicName = "elsewhere.orders" })
	h.pass(outside)
	h.wantsStalled(outside, "InvalidTopicName", `must begin with "`+h.namespace+`."`)
}

func TestTopicWithoutCluster(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	topic := h.topic("orders")
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "create it, or name another one in spec.clusterRef")
}

func TestSuspendedTopicIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	topic := h.readyTopic("orders", func(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData })
	h.update(topic, func() {
		topic.Spec.Suspend = true
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "1"}
	})
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "nothing is touched")
	h.delete(topic)
	h.pass(topic)
	if !h.gone(topic) {
		t.Fatal("the Topic did not go")
	}
	h.wantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}
