// Package policy says in the words of internal/deadletter what a DeadLetterPolicy
// asks for.
package policy

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/deadletter"
)

// Schedule is the delays before the attempts after the first delivery. The error
// names the field that is amiss.
func Schedule(policy *v1alpha1.DeadLetterPolicy) ([]time.Duration, error) {
	retry := policy.Spec.Retry
	words := deadletter.Policy{
		MaxAttempts: int(retry.MaxAttempts),
		Backoff: deadletter.Backoff{
			Policy:        deadletter.BackoffPolicy(retry.Backoff.Policy),
			Delay:         retry.Backoff.Delay.Duration,
			Factor:        float64(ptr.Deref(retry.Backoff.Factor, 2)),
			JitterPercent: int(retry.Backoff.JitterPercent),
		},
		PermanentErrors: retry.PermanentErrors,
	}
	if retry.Backoff.Max != nil {
		words.Backoff.Max = retry.Backoff.Max.Duration
	}
	if retry.MaxElapsed != nil {
		words.MaxElapsed = retry.MaxElapsed.Duration
	}
	return deadletter.Schedule(words, deadletter.Retention)
}
