package controller

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/relay/config"
)

// A pass over a resource that is as it should be writes nothing: not to the
// API server, and not to Kafka. One of each kind, with everything that it can have.
func TestPassesWithoutChangeWriteNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster(func(c *v1alpha1.KafkaCluster) {
		h.secret(h.operator, "retry", "username", "retry", "password", "secret")
		c.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
			Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
		}}
	})
	topic := h.readyTopic("orders", one, withAccess, func(topic *v1alpha1.Topic) {
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"}
	})
	relay := h.relay("orders")
	h.settled(relay)
	h.pod(h.namespace, "weir-outbox-orders").says(config.OutboxState{
		Phase: config.Active, PendingRows: 12345, OldestPendingSeconds: 3, LastPublished: time.Unix(1, 0),
	})
	policy := h.policy("standard")
	group := h.readyGroup("billing", withPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Lag.MaxRecords = new(int64(10))
	})
	h.settled(cluster)
	h.pod(h.operator, retryWorkerName(cluster.Name)).says(config.RetryState{Phase: config.Active})

	all := []client.Object{cluster, topic, relay, group, policy}
	for _, obj := range all {
		h.settled(obj)
	}
	for _, obj := range all {
		h.settled(obj)
		h.wantsReady(obj)
	}
	h.events.take()
	toKafka, toAPI := h.kafkaWrites(), h.api.writes.Load()
	for range 3 {
		for _, obj := range all {
			h.pass(obj)
			if n := h.api.writes.Load() - toAPI; n != 0 {
				t.Errorf("a pass over a %T without a change wrote %d times to the API server", obj, n)
				toAPI += n
			}
			if n := toKafka.Swap(0); n != 0 {
				t.Errorf("a pass over a %T without a change wrote %d times to Kafka", obj, n)
			}
		}
		wantsDrift(h, cluster)
	}
	h.wantsEvents()

	// The same after a restart, which forgets everything but what is written.
	h.restart()
	for _, obj := range all {
		h.passUntil(obj, v1alpha1.ConditionReady, h.condition(obj, v1alpha1.ConditionReady).Reason)
	}
	h.wantsEvents()
	if n := toKafka.Load(); n != 0 {
		t.Errorf("after a restart, passes without a change wrote %d times to Kafka", n)
	}
}
