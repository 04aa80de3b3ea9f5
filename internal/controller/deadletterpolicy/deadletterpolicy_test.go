package deadletterpolicy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
)

func TestPolicySchedule(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	seconds := func(delays ...int) []metav1.Duration {
		var list []metav1.Duration
		for _, delay := range delays {
			list = append(list, metav1.Duration{Duration: time.Duration(delay) * time.Second})
		}
		return list
	}
	wants := func(policy *v1alpha1.DeadLetterPolicy, delays []metav1.Duration, total time.Duration) {
		t.Helper()
		if diff := cmp.Diff(delays, policy.Status.Schedule); diff != "" {
			t.Errorf("schedule (-want +got):\n%s", diff)
		}
		if got := policy.Status.TotalDelay; got == nil || got.Duration != total {
			t.Errorf("total delay is %v, want %s", got, total)
		}
	}
	policy := h.Policy("standard")
	h.WantsReady(policy)
	wants(policy, seconds(1, 2, 4, 8), 15*time.Second)
	h.Wants(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionFalse, v1alpha1.ReasonNoDeadLetters, "there are no dead letters")

	h.Update(policy, func() {
		policy.Spec.Retry.Backoff = v1alpha1.Backoff{Policy: v1alpha1.BackoffLinear, Delay: metav1.Duration{Duration: time.Second}}
	})
	h.Pass(policy)
	wants(policy, seconds(1, 2, 3, 4), 10*time.Second)

	// What cannot be is refused, and the last schedule stays in effect.
	h.Update(policy, func() { policy.Spec.Retry.Backoff.Delay.Duration = 100 * time.Hour })
	h.Pass(policy)
	h.WantsStalled(policy, v1alpha1.ReasonInvalidSchedule,
		"spec.retry: the waits before attempt 3 add up to 300h0m0s, longer than the 168h0m0s that records are kept; lower retry.maxAttempts or retry.backoff.max")
	wants(policy, seconds(1, 2, 3, 4), 10*time.Second)

	h.Update(policy, func() { policy.Spec.Suspend = true })
	h.Pass(policy)
	h.Wants(policy, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	wants(policy, seconds(1, 2, 3, 4), 10*time.Second)

	h.Update(policy, func() { policy.Spec.Suspend, policy.Spec.Retry.MaxAttempts = false, 1 })
	h.Pass(policy)
	h.WantsReady(policy)
	wants(policy, nil, 0)
	h.Delete(policy)
	if !h.Gone(policy) {
		t.Error("a policy holds nothing that would keep it")
	}
}
