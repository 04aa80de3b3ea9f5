package kafkacluster_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// retry is what a retry worker is told by its files.
type retry struct {
	config.Retry
	Groups []config.RetryGroup
}

// told is what the retry worker of a cluster is told by its ConfigMap, once the
// API server has it; nil where there is none.
func told(h *harness.Harness, cluster *v1alpha1.KafkaCluster) *retry {
	h.Helper()
	files := h.Files(h.Operator, kafkacluster.RetryWorkerName(cluster.Name))
	if files == nil {
		return nil
	}
	told := new(retry)
	h.Must(json.Unmarshal([]byte(files.Data[config.RetryFile]), &told.Retry))
	for name, text := range files.Data {
		if !config.IsGroupFile(name) {
			continue
		}
		var group config.RetryGroup
		h.Must(json.Unmarshal([]byte(text), &group))
		told.Groups = append(told.Groups, group)
	}
	slices.SortFunc(told.Groups, func(a, b config.RetryGroup) int { return strings.Compare(a.Group, b.Group) })
	return told
}

func millisecond(n int) config.Duration { return config.Duration(time.Duration(n) * time.Millisecond) }

// The worker is as it was while a record that was lost is rebuilt, and goes on for
// a group that is suspended then.
func TestRetryWorkerOutlivesTheRecord(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(h.WithRetryWorker)
	orders := h.ReadyTopic("orders")
	h.Policy("standard")
	billing, audit := h.ReadyGroup("billing", harness.WithPolicy), h.ReadyGroup("audit", harness.WithPolicy)
	h.Settled(cluster)
	before, runs := told(h, cluster), cluster.Status.RetryWorker
	if len(before.Groups) != 2 {
		t.Fatalf("the worker is told of %+v", before.Groups)
	}
	wantsAsBefore := func(when string) {
		t.Helper()
		h.Settled(cluster)
		if diff := cmp.Diff(before, told(h, cluster)); diff != "" {
			t.Errorf("%s, the worker is told (-want +got):\n%s", when, diff)
		}
		if cluster.Status.RetryWorker == nil || *cluster.Status.RetryWorker != *runs {
			t.Errorf("%s, status.retryWorker is %+v", when, cluster.Status.RetryWorker)
		}
		wantsGroup(h, estate.RetryGroup(cluster.Status.ClusterID), 1)
	}
	h.Update(audit, func() { audit.Spec.Suspend = true })
	h.Restart(func() { h.Must(h.Live.Delete(t.Context(), h.RecordLog())) })
	wantsAsBefore("before any group has declared again")
	h.Pass(audit)
	h.PassUntilReady(orders)
	h.PassUntilReady(billing)
	wantsAsBefore("with a suspended group")
	h.Update(audit, func() { audit.Spec.Suspend = false })
	h.PassUntilReady(audit)
	wantsAsBefore("after all")

	h.Update(audit, func() { audit.Spec.Suspend = true })
	h.Restart(func() { h.Must(h.Live.Delete(t.Context(), h.RecordLog())) })
	h.Update(audit, func() { audit.Spec.DeadLetterPolicyRef = nil })
	h.PassUntilReady(orders)
	h.PassUntilReady(billing)
	h.Settled(cluster)
	if groups := told(h, cluster).Groups; len(groups) != 1 || groups[0].Group != billing.Status.GroupID {
		t.Errorf("the worker is told of %+v, though one group has no policy", groups)
	}
}

func TestRetryWorkerComesAndGoes(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(h.WithRetryWorker)
	h.ReadyTopic("orders")
	if told(h, cluster) != nil || h.Condition(cluster, v1alpha1.ConditionRetryWorkerReady).Type != "" || cluster.Status.RetryWorker != nil {
		t.Error("there is a retry worker without a group to work for")
	}
	policy := h.Policy("standard", func(policy *v1alpha1.DeadLetterPolicy) {
		policy.Spec.Retry = v1alpha1.Retry{
			MaxAttempts: 3, PermanentErrors: []string{"Bad*"},
			Backoff: v1alpha1.Backoff{Policy: v1alpha1.BackoffFixed, Delay: metav1.Duration{Duration: 100 * time.Millisecond}, JitterPercent: 10},
		}
	})
	group := h.ReadyGroup("billing", harness.WithPolicy)
	id := group.Status.GroupID
	h.Settled(cluster)
	want := config.RetryGroup{
		Name: h.Namespace + "/billing", Group: id, Waits: 2, MaxAttempts: 3,
		Delays: []config.Duration{millisecond(100), millisecond(100)}, JitterPercent: 10, PermanentErrors: []string{"Bad*"},
	}
	wantsTold := func(groups ...config.RetryGroup) {
		t.Helper()
		if diff := cmp.Diff(groups, told(h, cluster).Groups); diff != "" {
			t.Errorf("the worker is told (-want +got):\n%s", diff)
		}
	}
	wantsTold(want)
	h.WantsReady(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	if workload := cluster.Status.RetryWorker; workload == nil || workload.Name != "weir-retry-"+cluster.Name || workload.Replicas != 1 {
		t.Errorf("status.retryWorker is %+v", workload)
	}
	wantsGroup(h, estate.RetryGroup(cluster.Status.ClusterID), 1)
	h.WantsBindings(deadletter.Failed(id), append(kafka.Consume(h.RetryPrincipal(), deadletter.Failed(id)), kafka.Produce("User:billing", deadletter.Failed(id))...)...)
	h.WantsBindings(deadletter.Retry(id), append(kafka.Publish(h.RetryPrincipal(), deadletter.Retry(id)), kafka.Consume("User:billing", deadletter.Retry(id))...)...)
	h.WantsBindings(deadletter.DLT(id), kafka.Publish(h.RetryPrincipal(), deadletter.DLT(id))...)
	for _, wait := range []string{deadletter.Wait(id, 1), deadletter.Wait(id, 2)} {
		h.WantsBindings(wait, append(kafka.Publish(h.RetryPrincipal(), wait), kafka.Consume(h.RetryPrincipal(), wait)...)...)
	}

	h.Update(policy, func() { policy.Spec.Retry.MaxAttempts, policy.Spec.Retry.PermanentErrors = 4, nil })
	h.Settled(cluster)
	want.MaxAttempts, want.Waits, want.PermanentErrors = 4, 3, nil
	want.Delays = append(want.Delays, millisecond(100))
	wantsTold(want)

	// Suspended or deleted, the policy goes on as it was.
	h.Update(policy, func() { policy.Spec.Suspend, policy.Spec.Retry.MaxAttempts = true, 2 })
	h.Pass(policy)
	h.Wants(policy, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	h.Settled(cluster)
	wantsTold(want)
	h.Delete(policy)
	h.Restart()
	h.Pass(cluster)
	h.Settled(cluster)
	wantsTold(want)

	// A second group comes, and both go.
	h.Policy("other")
	other := h.ReadyGroup("audit", func(group *v1alpha1.ConsumerGroup) {
		group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "other"}
	})
	h.Settled(cluster)
	if groups := told(h, cluster).Groups; len(groups) != 2 || groups[0].Group != other.Status.GroupID {
		t.Errorf("the worker is told of %+v", groups)
	}
	h.Pass(group) // or nobody has seen it when it goes

	// They go, and their lanes are drained.
	pod := h.Pod(h.Operator, kafkacluster.RetryWorkerName(cluster.Name))
	pod.HasRead(0)
	h.Pass(cluster)
	h.Delete(group)
	h.WantsGone(group)
	h.Settled(cluster)
	draining := config.RetryGroup{Name: h.Namespace + "/billing", Group: id, Waits: 2, MaxAttempts: 1, Draining: config.ToDeadLetters}
	if groups := told(h, cluster).Groups; len(groups) != 2 || !cmp.Equal(groups[1], draining) {
		t.Errorf("the worker is told of %+v", groups)
	}
	h.WantsBindings(deadletter.Failed(id), kafka.Consume(h.RetryPrincipal(), deadletter.Failed(id))...)
	h.WantsBindings(deadletter.Wait(id, 2), kafka.Consume(h.RetryPrincipal(), deadletter.Wait(id, 2))...)
	h.WantsBindings(deadletter.DLT(id), kafka.Publish(h.RetryPrincipal(), deadletter.DLT(id))...)
	h.WantsBindings(deadletter.Retry(id))

	h.Update(other, func() { other.Spec.DeadLetterPolicyRef = nil })
	h.PassUntilReady(other)
	retry := deadletter.Retry(other.Status.GroupID)
	h.Wants(other, v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonPolicyRemoved,
		"the group has no policy any more: records that wait still come back to topic "+retry+" when they are due")
	h.Settled(cluster)
	h.WantsBindings(retry, append(kafka.Publish(h.RetryPrincipal(), retry), kafka.Consume("User:audit", retry)...)...)

	// While something waits, or a worker has not read that, nothing ends.
	pod.HasRead(7)
	h.Pass(cluster)
	h.Pass(other)
	if waiting := other.Status.DeadLetters.Waiting; waiting == nil || *waiting != 7 {
		t.Errorf("status.deadLetters is %+v", other.Status.DeadLetters)
	}
	pod.HasRead(0)
	h.Await(func() string {
		h.Pass(cluster)
		if cluster.Status.RetryWorker != nil {
			return "there is still a retry worker"
		}
		return ""
	})
	h.Settled(cluster)
	h.PassUntilReady(other)
	if h.Condition(other, v1alpha1.ConditionDraining).Type != "" || other.Status.DeadLetters != nil {
		t.Errorf("the lane is still drained: %+v", other.Status)
	}
	h.WantsBindings(deadletter.DLT(id))
	h.WantsBindings(retry, kafka.Consume("User:audit", retry)...)
	var deployment appsv1.Deployment
	if err := h.Live.Get(t.Context(), client.ObjectKey{Namespace: h.Operator, Name: kafkacluster.RetryWorkerName(cluster.Name)}, &deployment); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the Deployment is still there, or: %v", err)
	}
	if told(h, cluster) != nil || h.Condition(cluster, v1alpha1.ConditionRetryWorkerReady).Type != "" {
		t.Errorf("there is still a retry worker: %+v", cluster.Status)
	}
	wantsGroup(h, estate.RetryGroup(cluster.Status.ClusterID), 0)

	// A policy takes the lane up again.
	h.Policy("third")
	h.Update(other, func() { other.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "third"} })
	h.PassUntilReady(other)
	h.Settled(cluster)
	if groups := told(h, cluster).Groups; len(groups) != 1 || groups[0].Draining != "" {
		t.Errorf("the worker is told of %+v", groups)
	}
}

// The operator's own credentials are a super user's, and worth more than a
// worker needs: without others there is no worker.
func TestRetryWorkerNeverHasTheOperatorsCredentials(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	h.ReadyTopic("orders")
	h.Policy("standard")
	h.ReadyGroup("billing", harness.WithPolicy)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: h.Operator, Name: kafkacluster.RetryWorkerName(cluster.Name)}}
	wantsNone := func() {
		t.Helper()
		h.Settled(cluster)
		h.WantsReady(cluster)
		h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonIdentityMissing,
			"failed records wait, since no worker moves them: set spec.retryWorker.kafka to a principal of the worker's own and its Secret in namespace "+h.Operator)
		if !h.Gone(deployment) || cluster.Status.RetryWorker != nil {
			t.Errorf("there is a retry worker: %+v", cluster.Status.RetryWorker)
		}
	}
	wantsNone()

	h.Update(cluster, func() { h.WithRetryWorker(cluster) })
	h.Settled(cluster)
	h.Must(h.Live.Get(t.Context(), harness.KeyOf(deployment), deployment))
	for _, source := range deployment.Spec.Template.Spec.Volumes[0].Projected.Sources {
		if source.Secret != nil && source.Secret.Name != "retry" {
			t.Errorf("the worker mounts Secret %s", source.Secret.Name)
		}
	}
	told := told(h, cluster)
	if told.Kafka.ClusterID != cluster.Status.ClusterID || told.Kafka.SASL == nil {
		t.Errorf("the worker is told %+v", told.Kafka)
	}

	h.Update(cluster, func() { cluster.Spec.RetryWorker = nil })
	wantsNone()
}

func TestRetryWorkerTroubles(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
			Principal: h.RetryPrincipal(), CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
		}}
	})
	topic := h.ReadyTopic("orders")
	h.Policy("standard")
	group := h.ReadyGroup("billing", harness.WithPolicy)
	h.Pass(cluster)
	// The cluster is Ready all the same: topics do not need the worker.
	h.WantsReady(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound,
		"spec.retryWorker.kafka.credentialsSecretRef: Secret "+h.Operator+"/retry does not exist; create it: kubectl -n "+h.Operator+" create secret generic retry")
	h.Pass(topic)
	h.WantsReady(topic)
	h.Pass(group)
	h.WantsReady(group)
	h.Wants(group, v1alpha1.ConditionRetriesStopped, metav1.ConditionTrue, v1alpha1.ReasonSecretNotFound,
		"failed records wait: the retry worker of KafkaCluster "+cluster.Name+" does not work, and its owner has to mend that: ")

	h.Secret(h.Operator, "retry", "username", "retry", "password", "secret")
	name := worker.Spec{Name: kafkacluster.RetryWorkerName(cluster.Name), Component: "retry", Image: "weir:test", Followed: true}.FilesNames()[0]
	stranger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.Operator, Name: name}}
	h.Must(h.Live.Create(t.Context(), stranger))
	h.Pass(cluster)
	h.WantsReady(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonNameConflict,
		"ConfigMap "+h.Operator+"/"+name+" exists and is not Weir's; delete or rename it: Weir needs that name")
	h.Must(h.Live.Delete(t.Context(), stranger))
	h.Settled(cluster)

	// Its pod speaks.
	pod := h.Pod(h.Operator, kafkacluster.RetryWorkerName(cluster.Name))
	for _, test := range []struct {
		state   config.RetryState
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		{config.RetryState{Phase: config.Starting}, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "the worker is starting"},
		{config.RetryState{Phase: config.Failing, Problem: &config.Problem{Reason: "KafkaUnauthorized", Message: "check the Secret"}}, metav1.ConditionFalse, "KafkaUnauthorized", "check the Secret"},
		{config.RetryState{Phase: config.Active}, metav1.ConditionTrue, v1alpha1.ReasonReady, "moving failed records, or nothing to move"},
	} {
		pod.Says(test.state)
		h.Pass(cluster)
		h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, test.status, test.reason, test.message)
		h.WantsReady(cluster)
	}

	// What Kubernetes refuses of the template is the template's problem.
	h.Update(cluster, func() {
		cluster.Spec.RetryWorker.PodTemplate.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Never"}}
	})
	h.Pass(cluster)
	h.WantsReady(cluster)
	h.Wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, child.ReasonRejected, "spec.template.spec.tolerations")
}

// The retry worker outlives its KafkaCluster, and so do its grants: another one
// may lead to the same Kafka.
func TestRetryWorkerOfADeletedCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(h.WithRetryWorker)
	h.ReadyTopic("orders")
	h.Policy("standard")
	h.ReadyGroup("billing", harness.WithPolicy)
	h.Settled(cluster)
	id, name := estate.RetryGroup(cluster.Status.ClusterID), kafkacluster.RetryWorkerName(cluster.Name)
	wantsGroup(h, id, 1)
	h.Delete(cluster)
	h.WantsGone(cluster)
	var deployment appsv1.Deployment
	h.Must(h.Live.Get(t.Context(), client.ObjectKey{Namespace: h.Operator, Name: name}, &deployment))
	if len(deployment.OwnerReferences) > 0 {
		t.Errorf("the worker goes with %v", deployment.OwnerReferences)
	}
	wantsGroup(h, id, 1)

	again := h.Cluster(h.WithRetryWorker)
	h.Settled(again)
	if told := told(h, again); told == nil || len(told.Groups) != 1 {
		t.Errorf("the worker is told %+v", told)
	}

	// The worker of one with another name takes over.
	h.Delete(again)
	h.WantsGone(again)
	other := h.Cluster(h.WithRetryWorker, func(c *v1alpha1.KafkaCluster) { c.Name += "-other" })
	h.Await(func() string {
		h.Pass(other)
		if !h.Gone(&deployment) {
			return "the retry worker of the KafkaCluster that is gone still runs"
		}
		return ""
	})
	if told := told(h, other); told == nil || len(told.Groups) != 1 {
		t.Errorf("the worker is told %+v", told)
	}
}

// wantsGroup counts the bindings of this test's retry worker on a group.
func wantsGroup(h *harness.Harness, group string, want int) {
	h.Helper()
	admin := h.Admin()
	h.Await(func() string {
		all, err := admin.Bindings(h.Context())
		if err != nil {
			return err.Error()
		}
		got := 0
		for binding := range all {
			if binding.Name == group && binding.Principal == h.RetryPrincipal() {
				got++
			}
		}
		if got != want {
			return fmt.Sprintf("%d bindings on group %s, want %d", got, group, want)
		}
		return ""
	})
}
