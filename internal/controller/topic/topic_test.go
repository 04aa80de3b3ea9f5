package topic_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

func TestTopicIsCreatedGrownAndConfigured(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Partitions = new(int32(2))
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000", "cleanup.policy": "compact"}
	})
	h.WantsTopic(kafka.Topic{Partitions: 2, Config: map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact"}}, topic)

	h.Update(topic, func() {
		topic.Spec.Partitions = new(int32(4))
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "7200000"}
	})
	h.PassUntilReady(topic)
	h.WantsTopic(kafka.Topic{Partitions: 4, Config: map[string]string{"retention.ms": "7200000"}}, topic)
}

func TestTopicOwner(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	name := func(topic *v1alpha1.Topic) { topic.Spec.TopicName = h.Namespace + ".contested" }
	first := h.Topic("a-first", name)
	second := h.Topic("b-second", name, func(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData })
	h.PassUntilReady(first)
	h.Pass(second)
	h.WantsStalled(second, v1alpha1.ReasonConflict, "belongs to Topic "+h.Namespace+"/a-first; nothing is touched: use another name, or delete the other resource")

	// The loser deletes nothing, whatever its deletionPolicy.
	h.Delete(second)
	h.Pass(second)
	if !h.Gone(second) {
		t.Error("the loser did not go")
	}
	h.WantsTopic(kafka.Topic{Partitions: first.Status.Partitions, Config: map[string]string{}}, first)
}

func TestTopicDeletion(t *testing.T) {
	t.Parallel()
	access := []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
	for policy, stays := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.Retain: true, v1alpha1.DeleteData: false} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Cluster()
			topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
				topic.Spec.DeletionPolicy = policy
				topic.Spec.Access = access
			})
			h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
			h.Delete(topic)
			h.Pass(topic)
			if !h.Gone(topic) {
				t.Fatal("the Topic did not go")
			}
			h.WantsBindings(topic.Status.TopicName)
			h.Await(func() string {
				got, err := h.Admin().ObserveTopic(t.Context(), topic.Status.TopicName)
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
	h := harness.New(t)
	h.Cluster()
	outside := h.Topic("outside", func(topic *v1alpha1.Topic) { topic.Spec.TopicName = "elsewhere.orders" })
	h.Pass(outside)
	h.WantsStalled(outside, v1alpha1.ReasonNameRefused, `does not allow the topic "elsewhere.orders": this namespace may name topics `+h.Namespace+".*")
}

func TestTopicWithoutCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	topic := h.Topic("orders")
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "create it, or name another one in spec.clusterRef")
}

func TestSuspendedTopicIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData })
	h.Update(topic, func() {
		topic.Spec.Suspend = true
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "1"}
	})
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "nothing is touched")
	h.Delete(topic)
	h.Pass(topic)
	if !h.Gone(topic) {
		t.Fatal("the Topic did not go")
	}
	h.WantsTopic(kafka.Topic{Partitions: topic.Status.Partitions, Config: map[string]string{}}, topic)
}
