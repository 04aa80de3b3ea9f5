package settle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
)

func TestTransitions(t *testing.T) {
	t.Parallel()
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: reason}
	}
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for _, test := range []struct {
		reason        string
		before, after []metav1.Condition
		want          []transition
	}{
		{reason: "a new resource that waits is no news", after: []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Waiting")}},
		{reason: "a new resource that is Ready at once is no news", after: []metav1.Condition{condition(v1alpha1.ConditionReady, yes, "Ready")}},
		{
			reason: "a resource becomes Ready",
			before: []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Waiting")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionReady, yes, "Ready")},
			want:   []transition{{corev1.EventTypeNormal, "Ready", "Ready"}},
		},
		{
			reason: "it stops being Ready",
			before: []metav1.Condition{condition(v1alpha1.ConditionReady, yes, "Ready")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Unreachable")},
			want:   []transition{{corev1.EventTypeWarning, "Unreachable", "Unreachable"}},
		},
		{
			reason: "a new resource is refused",
			after:  []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Conflict"), condition(v1alpha1.ConditionStalled, yes, "Conflict")},
			want:   []transition{{corev1.EventTypeWarning, "Conflict", "Conflict"}},
		},
		{
			reason: "a group falls behind",
			before: []metav1.Condition{condition(v1alpha1.ConditionLagging, no, "WithinObjective")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionLagging, yes, "TimeLag")},
			want:   []transition{{corev1.EventTypeWarning, "TimeLag", "TimeLag"}},
		},
		{
			reason: "and catches up",
			before: []metav1.Condition{condition(v1alpha1.ConditionLagging, yes, "TimeLag")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionLagging, no, "WithinObjective")},
			want:   []transition{{corev1.EventTypeNormal, "WithinObjective", "WithinObjective"}},
		},
		{
			reason: "what is not known is no news",
			before: []metav1.Condition{condition(v1alpha1.ConditionLagging, yes, "TimeLag"), condition(v1alpha1.ConditionReady, yes, "Ready")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionLagging, unknown, "LagUnknown"), condition(v1alpha1.ConditionReady, unknown, "Suspended")},
		},
		{
			reason: "the same trouble is told once",
			before: []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Conflict"), condition(v1alpha1.ConditionStalled, yes, "Conflict")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Conflict"), condition(v1alpha1.ConditionStalled, yes, "Conflict")},
		},
		{
			reason: "a Ready resource that is refused is told once, by Ready",
			before: []metav1.Condition{condition(v1alpha1.ConditionReady, yes, "Ready")},
			after:  []metav1.Condition{condition(v1alpha1.ConditionReady, no, "Conflict"), condition(v1alpha1.ConditionStalled, yes, "Conflict")},
			want:   []transition{{corev1.EventTypeWarning, "Conflict", "Conflict"}},
		},
	} {
		if diff := cmp.Diff(test.want, transitions(test.before, test.after), cmp.AllowUnexported(transition{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}
