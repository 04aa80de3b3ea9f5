package controller_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
)

// While nobody looks, nothing is said to be well; and a restart of the operator
// takes nobody's Ready away.
func TestWhatIsNotLookedAt(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(h.WithRetryWorker)
	h.ReadyTopic("orders", harness.OnePartition)
	h.Policy("standard")
	group := h.ReadyGroup("billing", harness.WithPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Lag.MaxRecords = new(int64(10))
	})
	h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonWithinObjective) // brokers may still be choosing leaders
	h.Settled(cluster)
	h.Pod(h.Operator, kafkacluster.RetryWorkerName(cluster.Name)).HasRead(0)
	h.Pass(cluster)
	h.PassUntilReady(group)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "")

	h.Restart()
	h.Pass(group) // the collector of this operator has not measured it yet, or just has
	h.WantsReady(group)

	h.Update(cluster, func() { cluster.Spec.Suspend = true })
	h.Pass(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionUnknown, v1alpha1.ReasonClusterNotReady, "it is not looked at now; see Ready")
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, "is suspended")
	h.Wants(group, v1alpha1.ConditionLagging, metav1.ConditionUnknown, v1alpha1.ReasonLagUnknown, "the group is not measured now; see Ready")

	h.Update(cluster, func() { cluster.Spec.Suspend = false })
	h.Pass(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "")
	h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonWithinObjective)
	h.WantsReady(group)
}
