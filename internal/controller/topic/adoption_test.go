package topic_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

func TestTopicIsAdopted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	name := h.Namespace + ".orders"
	found := h.MakeTopic(name, 2, map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"})
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"}
	})
	if topic.Status.TopicID != found.ID || topic.Status.Partitions != 2 {
		t.Errorf("status says %+v of a topic %+v", topic.Status, found)
	}
	// A key that nobody declares is not ours.
	h.WantsTopic(kafka.Topic{Partitions: 2, Config: map[string]string{"cleanup.policy": "compact", "retention.ms": "3600000"}}, topic)
	h.WantsEvents(
		"Topic/orders TopicAdopted Adopt: topic "+name+" existed already and is managed from now on",
		"Topic/orders TopicChanged Apply: config retention.ms: 1000 -> 3600000",
	)
	h.Pass(topic)
	h.WantsEvents()
}

func TestTopicEvents(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Partitions, topic.Spec.Replicas = new(int32(2)), new(int32(1))
	})
	name := topic.Status.TopicName
	h.WantsEvents("Topic/orders TopicCreated Create: created with 2 partitions, 1 replica")

	h.Update(topic, func() { topic.Spec.Partitions = new(int32(3)) })
	h.PassUntilReady(topic)
	h.WantsEvents("Topic/orders TopicChanged Apply: partitions: 2 -> 3 (keys move to other partitions, so that their order holds from now on only)")

	// Somebody deletes it, and somebody deletes it and makes another one.
	before := topic.Status.TopicID
	h.DropTopic(name)
	h.Pass(topic)
	h.PassUntilReady(topic)
	if topic.Status.TopicID == before {
		t.Error("status has the old topic ID")
	}
	recreated := "Topic/orders TopicRecreated Apply: topic " + name + " was deleted by somebody else and is a new one; its records are gone"
	created := "Topic/orders TopicCreated Create: created with 3 partitions, 1 replica"
	if diff := cmp.Diff([]string{created, recreated}, h.Events.Take(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	h.DropTopic(name)
	h.MakeTopic(name, 3, nil)
	h.Pass(topic)
	h.WantsReady(topic)
	h.WantsEvents(recreated)
}

func TestTopicRefusals(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	name := h.Namespace + ".orders"
	h.MakeTopic(name, 3, map[string]string{"retention.ms": "1000"})
	h.RefuseConfig(name, "no.such.key")
	topic := h.Topic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Partitions, topic.Spec.Replicas = new(int32(2)), new(int32(3))
		topic.Spec.Config = v1alpha1.TopicConfig{"no.such.key": "1", "retention.ms": "3600000"}
		topic.Spec.Access = []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
	})
	h.Pass(topic)
	// One condition says them all, under the first reason.
	for _, words := range []string{
		"change the config of topic " + name,
		"topic " + name + " has 3 partitions and Kafka cannot take partitions away; set partitions to 3 or more instead of 2",
		"topic " + name + " has 1 replica and Weir does not move replicas yet; set replicas to 1 instead of 3",
	} {
		h.WantsStalled(topic, kafka.PartitionsNotShrinkable, words)
	}
	// The rest of the spec is applied.
	h.WantsTopic(kafka.Topic{Partitions: 3, Config: map[string]string{"retention.ms": "3600000"}}, topic)
	h.WantsBindings(name, kafka.Produce("User:checkout", name)...)
	h.Wants(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced, "")

	h.Update(topic, func() {
		topic.Spec.Partitions, topic.Spec.Config = new(int32(3)), v1alpha1.TopicConfig{"retention.ms": "3600000"}
	})
	h.Pass(topic)
	h.WantsStalled(topic, kafka.ReplicasImmutable, "set replicas to 1 instead of 3")
}

func TestTopicWithoutAuthorizer(t *testing.T) {
	t.Parallel()
	h := harness.NewOn(t, harness.StartFake(t)) // whose authorizer comes and goes
	handle := h.Kafka.Fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.DescribeACLs, kmsg.CreateACLs, kmsg.DeleteACLs}, TopLevel: true, Err: kerr.SecurityDisabled, Count: -1,
	})
	cluster := h.Cluster()
	h.WantsReady(cluster)
	if cluster.Status.Authorizer != v1alpha1.AuthorizerDisabled {
		t.Errorf("status.authorizer is %q", cluster.Status.Authorizer)
	}
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
	})
	h.Wants(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, v1alpha1.ReasonAuthorizerDisabled, "set authorizer.class.name on the brokers")

	// It comes to life: what was declared is enforced.
	handle.Remove()
	h.Pass(cluster)
	h.Running.Estates.Of(cluster.Name).Sweep()
	h.PassUntil(topic, v1alpha1.ConditionAccessEnforced, v1alpha1.ReasonEnforced)
	h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)

	// And goes again: a Topic with grants can still be deleted.
	h.Cleanup(h.Kafka.Fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.DescribeACLs}, TopLevel: true, Err: kerr.SecurityDisabled, Count: -1,
	}).Remove)
	h.Delete(topic)
	h.Pass(topic)
	if !h.Gone(topic) {
		t.Error("the Topic did not go")
	}
}
