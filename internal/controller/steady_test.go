package controller_test

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/internal/relay/config"
)

// A pass over a resource that is as it should be writes nothing: not to the
// API server, and not to Kafka. One of each kind, with everything that it can have.
func TestPassesWithoutChangeWriteNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		h.Secret(h.Operator, "retry", "username", "retry", "password", "secret")
		c.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
			Principal: h.RetryPrincipal(), CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
		}}
	})
	topic := h.ReadyTopic("orders", harness.OnePartition, harness.WithAccess, func(topic *v1alpha1.Topic) {
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"}
	})
	relay := h.Relay("orders")
	h.Settled(relay)
	h.Pod(h.Namespace, "weir-outbox-orders").Says(config.OutboxState{
		Phase: config.Active, PendingRows: 12345, OldestPendingSeconds: 3, LastPublished: time.Unix(1, 0),
	})
	policy := h.Policy("standard")
	group := h.ReadyGroup("billing", harness.WithPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Lag.MaxRecords = new(int64(10))
	})
	h.Settled(cluster)
	h.Pod(h.Operator, kafkacluster.RetryWorkerName(cluster.Name)).HasRead(0)

	all := []client.Object{cluster, topic, relay, group, policy}
	for _, obj := range all {
		h.Settled(obj)
	}
	for _, obj := range all {
		h.Settled(obj)
		h.WantsReady(obj)
	}
	h.Events.Take()
	toKafka, toAPI := h.KafkaWrites(), h.API.Writes.Load()
	for range 3 {
		for _, obj := range all {
			h.Pass(obj)
			if n := h.API.Writes.Load() - toAPI; n != 0 {
				t.Errorf("a pass over a %T without a change wrote %d times to the API server", obj, n)
				toAPI += n
			}
			if n := toKafka.Swap(0); n != 0 {
				t.Errorf("a pass over a %T without a change wrote %d times to Kafka", obj, n)
			}
		}
		wantsDrift(h, cluster)
	}
	h.WantsEvents()

	// The same after a restart, which forgets everything but what is written.
	h.Restart()
	for _, obj := range all {
		h.PassUntil(obj, v1alpha1.ConditionReady, h.Condition(obj, v1alpha1.ConditionReady).Reason)
	}
	h.WantsEvents()
	if n := toKafka.Load(); n != 0 {
		t.Errorf("after a restart, passes without a change wrote %d times to Kafka", n)
	}
}
