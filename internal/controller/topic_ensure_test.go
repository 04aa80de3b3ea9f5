package controller

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// Brokers may show a creation seconds after the controller of the cluster has
// acknowledged it: it is not made again, and what has happened is not held back.
func TestTopicThatBrokersDoNotShowYet(t *testing.T) {
	t.Parallel()
	h := newHarnessOn(t, startFake(t))
	h.cluster()
	var creations atomic.Int64
	h.kafka.Fake.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		h.kafka.Fake.KeepControl()
		creations.Add(1)
		return nil, nil, false
	})
	name := h.namespace + ".orders"
	h.kafka.Fake.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		h.kafka.Fake.KeepControl()
		asked := request.(*kmsg.MetadataRequest)
		if len(asked.Topics) != 1 || asked.Topics[0].Topic == nil || *asked.Topics[0].Topic != name {
			return nil, nil, false
		}
		response := asked.ResponseKind().(*kmsg.MetadataResponse)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.ErrorCode = kmsg.StringPtr(name), kerr.UnknownTopicOrPartition.Code
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	topic := h.topic("orders", one)
	for range 20 {
		h.pass(topic)
		h.wantsReady(topic)
	}
	if n := creations.Load(); n != 1 || topic.Status.Partitions != 1 || topic.Status.TopicID == "" {
		t.Errorf("20 passes made %d creations; status: %+v", n, topic.Status)
	}
	h.wantsEvents("Topic/orders TopicCreated Create: created with 1 partition, default replicas")
}

// What others had set before, or what was refused, is not reset when it leaves
// the spec.
func TestConfigThatWeirNeverSet(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	for name, test := range map[string]struct {
		declared string
		refuse   bool
	}{
		"the-same": {declared: "-1"},
		"refused":  {declared: "7d", refuse: true},
	} {
		topicName := h.namespace + "." + name
		h.makeTopic(topicName, 1, map[string]string{"retention.ms": "-1"})
		if test.refuse {
			h.refuseConfig(topicName, "retention.ms")
		}
		topic := h.topic(name, func(topic *v1alpha1.Topic) { topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": test.declared} })
		h.pass(topic)
		if test.refuse {
			h.wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.InvalidConfig, "")
		}
		h.update(topic, func() { topic.Spec.Config = nil })
		h.passUntilReady(topic)
		h.wantsTopic(kafka.Topic{Partitions: 1, Config: map[string]string{"retention.ms": "-1"}}, topic)
	}
}
