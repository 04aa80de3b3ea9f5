package topic_test

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

// Brokers may show a creation seconds after the controller of the cluster has
// acknowledged it: it is not made again, and what has happened is not held back.
func TestTopicThatBrokersDoNotShowYet(t *testing.T) {
	t.Parallel()
	h := harness.NewOn(t, harness.StartFake(t))
	h.Cluster()
	var creations atomic.Int64
	h.Kafka.Fake.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		h.Kafka.Fake.KeepControl()
		creations.Add(1)
		return nil, nil, false
	})
	name := h.Namespace + ".orders"
	h.Kafka.Fake.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		h.Kafka.Fake.KeepControl()
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
	topic := h.Topic("orders", harness.OnePartition)
	for range 20 {
		h.Pass(topic)
		h.WantsReady(topic)
	}
	if n := creations.Load(); n != 1 || topic.Status.Partitions != 1 || topic.Status.TopicID == "" {
		t.Errorf("20 passes made %d creations; status: %+v", n, topic.Status)
	}
	h.WantsEvents("Topic/orders TopicCreated Create: created with 1 partition, default replicas")
}

// What others had set before, or what was refused, is not reset when it leaves
// the spec.
func TestConfigThatWeirNeverSet(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	for name, test := range map[string]struct {
		declared string
		refuse   bool
	}{
		"the-same": {declared: "-1"},
		"refused":  {declared: "7d", refuse: true},
	} {
		topicName := h.Namespace + "." + name
		h.MakeTopic(topicName, 1, map[string]string{"retention.ms": "-1"})
		if test.refuse {
			h.RefuseConfig(topicName, "retention.ms")
		}
		topic := h.Topic(name, func(topic *v1alpha1.Topic) { topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": test.declared} })
		h.Pass(topic)
		if test.refuse {
			h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.InvalidConfig, "")
		}
		h.Update(topic, func() { topic.Spec.Config = nil })
		h.PassUntilReady(topic)
		h.WantsTopic(kafka.Topic{Partitions: 1, Config: map[string]string{"retention.ms": "-1"}}, topic)
	}
}
