package harness

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// Pass makes one pass over obj, checks that its conditions conform, and reads
// it anew.
func (h *Harness) Pass(obj client.Object) (reconcile.Result, error) {
	h.Helper()
	h.Sync(obj)
	var result reconcile.Result
	var err error
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
	switch obj.(type) {
	case *v1alpha1.KafkaCluster:
		result, err = h.Running.Cluster.Reconcile(h.Context(), request)
	case *v1alpha1.Topic:
		result, err = h.Running.Topic.Reconcile(h.Context(), request)
	case *v1alpha1.OutboxRelay:
		result, err = h.Running.Relay.Reconcile(h.Context(), request)
	case *v1alpha1.ConsumerGroup:
		result, err = h.Running.Group.Reconcile(h.Context(), request)
	case *v1alpha1.DeadLetterPolicy:
		result, err = h.Running.Policy.Reconcile(h.Context(), request)
	}
	uid := obj.GetUID()
	h.Sync(obj)
	if obj.GetUID() == uid && obj.GetResourceVersion() != "" && !h.Gone(obj) && !settle.LetGo(obj) {
		h.Conforms(obj)
	}
	return result, err
}

// PassUntil makes passes until the condition has the reason.
func (h *Harness) PassUntil(obj client.Object, condition, reason string) {
	h.Helper()
	h.Await(func() string {
		if _, err := h.Pass(obj); err != nil && condition == v1alpha1.ConditionReady {
			h.Logf("pass: %v", err)
		}
		if found := h.Condition(obj, condition); found.Reason != reason {
			return fmt.Sprintf("%s is %s/%s: %s", condition, found.Status, found.Reason, found.Message)
		}
		return ""
	})
}

// PassUntilReady makes passes until obj is Ready: brokers acknowledge a change
// before they show it.
func (h *Harness) PassUntilReady(obj client.Object) {
	h.Helper()
	h.PassUntil(obj, v1alpha1.ConditionReady, readyReason(obj))
}

// Settled makes passes over obj until one does not write: the cache has what
// the pass before has written.
func (h *Harness) Settled(obj client.Object) {
	h.Helper()
	h.Await(func() string {
		before := h.API.Writes.Load()
		if _, err := h.Pass(obj); err != nil {
			return err.Error()
		}
		if h.API.Writes.Load() != before {
			return "it still writes"
		}
		return ""
	})
}

// WantsGone makes a pass after which obj is gone.
func (h *Harness) WantsGone(obj client.Object) {
	h.Helper()
	result, err := h.Pass(obj)
	if !h.Gone(obj) {
		h.Fatalf("%T %s did not go: %v, %v\n%v", obj, obj.GetName(), result, err, *obj.(settle.Object).GetConditions())
	}
}
