package outboxrelay_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// The worker of the earlier spec goes on publishing until it is gone: what it
// needs is taken back only then.
func TestRightsOutliveTheRoll(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	orders, other := h.ReadyTopic("orders", harness.OnePartition), h.ReadyTopic("other", harness.OnePartition)
	relay := h.Relay("orders", func(relay *v1alpha1.OutboxRelay) {
		relay.Spec.Routes = []v1alpha1.Route{
			{AggregateType: "order", TopicRef: v1alpha1.TopicReference{Name: "orders"}}, {TopicRef: v1alpha1.TopicReference{Name: "other"}},
		}
	})
	h.Settled(relay)
	earlier := h.Pod(h.Namespace, "weir-outbox-orders")
	earlier.Says(config.OutboxState{Phase: config.Active})
	h.PassUntilReady(relay)

	h.Update(relay, func() {
		relay.Spec.Routes = relay.Spec.Routes[1:]
		relay.Spec.Kafka.Principal = "User:another"
	})
	h.Settled(relay)
	if leaving := h.Running.Estates.Of(cluster.Name).Report().Leaving; leaving != 0 {
		t.Errorf("%d bindings of the worker that still publishes are leaving", leaving)
	}
	h.WantsBindings(orders.Status.TopicName, kafka.Publish("User:shop-relay", orders.Status.TopicName)...)
	h.WantsBindings(other.Status.TopicName, append(kafka.Publish("User:shop-relay", other.Status.TopicName), kafka.Publish("User:another", other.Status.TopicName)...)...)

	now := h.Pod(h.Namespace, "weir-outbox-orders")
	now.Says(config.OutboxState{Phase: config.Active})
	status := now.Status
	status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	now.SetStatus(status)
	earlier.Remove()
	h.Settled(relay)
	h.WantsBindings(orders.Status.TopicName)
	h.WantsBindings(other.Status.TopicName, kafka.Publish("User:another", other.Status.TopicName)...)
}
