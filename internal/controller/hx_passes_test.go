package controller

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// pass makes one pass over obj, checks that its conditions conform, and reads
// it anew.
func (h *harness) pass(obj client.Object) (reconcile.Result, error) {
	h.Helper()
	h.sync(obj)
	var result reconcile.Result
	var err error
	switch o := obj.DeepCopyObject().(type) {
	case *v1alpha1.KafkaCluster:
		result, err = h.set.cluster.Reconcile(h.Context(), o)
	case *v1alpha1.Topic:
		result, err = h.set.topic.Reconcile(h.Context(), o)
	case *v1alpha1.OutboxRelay:
		result, err = h.set.relay.Reconcile(h.Context(), o)
	case *v1alpha1.ConsumerGroup:
		result, err = h.set.group.Reconcile(h.Context(), o)
	case *v1alpha1.DeadLetterPolicy:
		result, err = h.set.policy.Reconcile(h.Context(), o)
	}
	uid := obj.GetUID()
	h.sync(obj)
	if obj.GetUID() == uid && obj.GetResourceVersion() != "" && !h.gone(obj) && !settle.LetGo(obj) {
		h.conforms(obj)
	}
	return result, err
}

// passUntil makes passes until the condition has the reason.
func (h *harness) passUntil(obj client.Object, condition, reason string) {
	h.Helper()
	h.await(func() string {
		if _, err := h.pass(obj); err != nil && condition == v1alpha1.ConditionReady {
			h.Logf("pass: %v", err)
		}
		if found := h.condition(obj, condition); found.Reason != reason {
			return fmt.Sprintf("%s is %s/%s: %s", condition, found.Status, found.Reason, found.Message)
		}
		return ""
	})
}

// passUntilReady makes passes until obj is Ready: brokers acknowledge a change
// before they show it.
func (h *harness) passUntilReady(obj client.Object) {
	h.Helper()
	h.passUntil(obj, v1alpha1.ConditionReady, readyReason(obj))
}

// settled makes passes over obj until one does not write: the cache has what
// the pass before has written.
func (h *harness) settled(obj client.Object) {
	h.Helper()
	h.await(func() string {
		before := h.api.writes.Load()
		if _, err := h.pass(obj); err != nil {
			return err.Error()
		}
		if h.api.writes.Load() != before {
			return "it still writes"
		}
		return ""
	})
}

// wantsGone makes a pass after which obj is gone.
func (h *harness) wantsGone(obj client.Object) {
	h.Helper()
	result, err := h.pass(obj)
	if !h.gone(obj) {
		h.Fatalf("%T %s did not go: %v, %v\n%v", obj, obj.GetName(), result, err, *obj.(settle.Object).GetConditions())
	}
}
