// Package deadletterpolicy reconciles DeadLetterPolicies: it computes the
// schedule of a policy and sums up the groups that use it, in status alone.
package deadletterpolicy

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/policy"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// +kubebuilder:rbac:groups=weir.dev,resources=deadletterpolicies,verbs=list;watch
// +kubebuilder:rbac:groups=weir.dev,resources=deadletterpolicies/status,verbs=patch

// Index indexes ConsumerGroups by the name of their DeadLetterPolicy.
const Index = "weir.dev/policy"

// AddIndex makes that index.
func AddIndex(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &v1alpha1.ConsumerGroup{}, Index, func(obj client.Object) []string {
		if ref := obj.(*v1alpha1.ConsumerGroup).Spec.DeadLetterPolicyRef; ref != nil {
			return []string{ref.Name}
		}
		return nil
	})
}

// Reconciler computes the schedule of a policy and sums up the
// groups that use it. It touches nothing but status: the groups bring the
// topics, the retry worker moves the records.
type Reconciler struct {
	Client  client.Client
	Settler settle.Settler
}

var ready = settle.Ready{Reason: v1alpha1.ReasonReady, Message: "the schedule is in effect"}

// Reconcile makes one pass. There is nothing to clean up behind a policy.
func (r *Reconciler) Reconcile(ctx context.Context, policy *v1alpha1.DeadLetterPolicy) (reconcile.Result, error) {
	before := policy.DeepCopy()
	err := r.reconcile(ctx, policy)
	return r.Settler.Settle(ctx, before, policy, ready, 0, err)
}

func (r *Reconciler) reconcile(ctx context.Context, declared *v1alpha1.DeadLetterPolicy) error {
	if declared.Spec.Suspend {
		return halt.Suspend()
	}
	if err := r.sumUp(ctx, declared); err != nil {
		return err
	}
	delays, err := policy.Schedule(declared)
	if err != nil {
		return halt.Stall(v1alpha1.ReasonInvalidSchedule, "spec.%v", err)
	}
	declared.Status.Schedule = nil
	var total time.Duration
	for _, delay := range delays {
		declared.Status.Schedule = append(declared.Status.Schedule, metav1.Duration{Duration: delay})
		total += delay
	}
	declared.Status.TotalDelay = &metav1.Duration{Duration: total}
	return nil
}

// sumUp counts the groups that use the policy, and their dead letters.
func (r *Reconciler) sumUp(ctx context.Context, policy *v1alpha1.DeadLetterPolicy) error {
	var groups v1alpha1.ConsumerGroupList
	if err := r.Client.List(ctx, &groups, client.InNamespace(policy.Namespace), client.MatchingFields{Index: policy.Name}); err != nil {
		return fmt.Errorf("listing the policy's groups: %w", err)
	}
	policy.Status.ConsumerGroups = int32(len(groups.Items))
	var depth int64
	known := true
	for _, group := range groups.Items {
		if letters := group.Status.DeadLetters; letters != nil && letters.Depth != nil {
			depth += *letters.Depth
		} else {
			known = false
		}
	}
	policy.Status.DeadLetters = nil
	if known {
		policy.Status.DeadLetters = &depth
	}
	switch {
	case depth > 0:
		settle.SetCondition(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionTrue, v1alpha1.ReasonDeadLetters,
			"dead letters wait for somebody to look at them; see status.deadLetters of the ConsumerGroups that use this policy")
	case known:
		settle.SetCondition(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionFalse, v1alpha1.ReasonNoDeadLetters, "there are no dead letters")
	default:
		settle.SetCondition(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionUnknown, v1alpha1.ReasonDeadLettersUnknown,
			"the dead letters of some group have not been counted yet")
	}
	return nil
}
