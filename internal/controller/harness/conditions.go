package harness

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// Conforms checks the rules that every resource's conditions obey, by which
// kstatus reads them right.
func (h *Harness) Conforms(obj client.Object) {
	h.Helper()
	conditions, observed := obj.(settle.Object).GetConditions(), obj.(settle.Object).GetObservedGeneration()
	if *observed != obj.GetGeneration() {
		h.Errorf("%T: status.observedGeneration is %d, generation %d", obj, *observed, obj.GetGeneration())
	}
	ready := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReady)
	if ready == nil {
		h.Fatalf("%T has no condition Ready", obj)
	}
	reconciling := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReconciling)
	stalled := meta.FindStatusCondition(*conditions, v1alpha1.ConditionStalled)
	if reconciling != nil && stalled != nil {
		h.Errorf("%T is Reconciling and Stalled at once", obj)
	}
	for _, abnormal := range []*metav1.Condition{reconciling, stalled} {
		switch {
		case abnormal == nil:
		case abnormal.Status != metav1.ConditionTrue:
			h.Errorf("%T: condition %s is present and %s", obj, abnormal.Type, abnormal.Status)
		case ready.Status == metav1.ConditionTrue:
			h.Errorf("%T is Ready and %s at once", obj, abnormal.Type)
		case abnormal.Reason != ready.Reason || abnormal.Message != ready.Message:
			h.Errorf("%T: %s says %s (%s) and Ready says %s (%s)", obj, abnormal.Type, abnormal.Reason, abnormal.Message, ready.Reason, ready.Message)
		}
	}
	for _, condition := range *conditions {
		if condition.ObservedGeneration != obj.GetGeneration() && (condition.Type == v1alpha1.ConditionReady) {
			h.Errorf("%T: condition %s speaks of generation %d, not %d", obj, condition.Type, condition.ObservedGeneration, obj.GetGeneration())
		}
		if condition.Message == "" || strings.Contains(condition.Message, "\n") {
			h.Errorf("%T: condition %s has the message %q; want one line", obj, condition.Type, condition.Message)
		}
	}
}

// Condition is a condition of obj, empty where it has none of that type.
func (h *Harness) Condition(obj client.Object, kind string) metav1.Condition {
	h.Helper()
	if found := meta.FindStatusCondition(*obj.(settle.Object).GetConditions(), kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// Wants checks status and reason of a condition, and that its message contains
// what a person needs to read.
func (h *Harness) Wants(obj client.Object, kind string, status metav1.ConditionStatus, reason, message string) {
	h.Helper()
	got := h.Condition(obj, kind)
	if got.Status != status || got.Reason != reason || !strings.Contains(got.Message, message) {
		h.Errorf("%T %s:\n got %s/%s: %s\nwant %s/%s: …%s…", obj, kind, got.Status, got.Reason, got.Message, status, reason, message)
	}
}

// readyReason is why obj is Ready when all is well.
func readyReason(obj client.Object) string {
	if _, ok := obj.(*v1alpha1.KafkaCluster); ok {
		return v1alpha1.ReasonConnected
	}
	return v1alpha1.ReasonReady
}

// WantsReady checks that obj is Ready.
func (h *Harness) WantsReady(obj client.Object) {
	h.Helper()
	h.Wants(obj, v1alpha1.ConditionReady, metav1.ConditionTrue, readyReason(obj), "")
}

// WantsStalled checks that obj is Stalled, why, and that its message contains
// what a person needs to read.
func (h *Harness) WantsStalled(obj client.Object, reason, message string) {
	h.Helper()
	h.Wants(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	h.Wants(obj, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
}
