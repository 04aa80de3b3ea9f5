package controller

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

// told is what the retry worker of a cluster is told by its ConfigMap, once the
// API server has it; nil where there is none.
func told(h *harness, cluster *v1alpha1.KafkaCluster) *config.Retry {
	h.Helper()
	files := h.files(h.operator, retryWorkerName(cluster.Name))
	if files == nil {
		return nil
	}
	told := new(config.Retry)
	h.must(json.Unmarshal([]byte(files.Data[config.RetryFile]), told))
	return told
}

func millisecond(n int) config.Duration { return config.Duration(time.Duration(n) * time.Millisecond) }

func TestRetryWorkerComesAndGoes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster(h.withRetryWorker)
	h.readyTopic("orders")
	if told(h, cluster) != nil || h.condition(cluster, v1alpha1.ConditionRetryWorkerReady).Type != "" || cluster.Status.RetryWorker != nil {
		t.Error("there is a retry worker without a group to work for")
	}
	policy := h.policy("standard", func(policy *v1alpha1.DeadLetterPolicy) {
		policy.Spec.Retry = v1alpha1.Retry{
			MaxAttempts: 3, PermanentErrors: []string{"Bad*"},
			Backoff: v1alpha1.Backoff{Policy: v1alpha1.BackoffFixed, Delay: metav1.Duration{Duration: 100 * time.Millisecond}, JitterPercent: 10},
		}
	})
	group := h.readyGroup("billing", withPolicy)
	id := group.Status.GroupID
	h.settled(cluster)
	want := config.RetryGroup{
		Name: h.namespace + "/billing", Group: id, Waits: 2, MaxAttempts: 3,
		Delays: []config.Duration{millisecond(100), millisecond(100)}, JitterPercent: 10, PermanentErrors: []string{"Bad*"},
	}
	wantsTold := func(groups ...config.RetryGroup) {
		t.Helper()
		if diff := cmp.Diff(groups, told(h, cluster).Groups); diff != "" {
			t.Errorf("the worker is told (-want +got):\n%s", diff)
		}
	}
	wantsTold(want)
	h.wantsReady(cluster)
	h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	if workload := cluster.Status.RetryWorker; workload == nil || workload.Name != "weir-retry-"+cluster.Name || workload.Replicas != 1 {
		t.Errorf("status.retryWorker is %+v", workload)
	}
	h.wantsBindings(retryConsumerGroup(cluster.Name), kafka.ReadGroup("User:retry", retryConsumerGroup(cluster.Name))...)
	h.wantsBindings(deadletter.Failed(id), append(kafka.Consume("User:retry", deadletter.Failed(id)), kafka.Produce("User:billing", deadletter.Failed(id))...)...)
	h.wantsBindings(deadletter.Retry(id), append(kafka.Publish("User:retry", deadletter.Retry(id)), kafka.Consume("User:billing", deadletter.Retry(id))...)...)
	h.wantsBindings(deadletter.DLT(id), kafka.Publish("User:retry", deadletter.DLT(id))...)
	for _, wait := range []string{deadletter.Wait(id, 1), deadletter.Wait(id, 2)} {
		h.wantsBindings(wait, append(kafka.Publish("User:retry", wait), kafka.Consume("User:retry", wait)...)...)
	}

	// A policy that has changed, and that Weir has not looked at yet, is not
	// told half: attempts of the new one, delays of the old one.
	h.update(policy, func() { policy.Spec.Retry.MaxAttempts, policy.Spec.Retry.PermanentErrors = 4, nil })
	h.settled(cluster)
	wantsTold(want)
	h.pass(policy)
	h.settled(cluster)
	want.MaxAttempts, want.Waits, want.PermanentErrors = 4, 3, nil
	want.Delays = append(want.Delays, millisecond(100))
	wantsTold(want)

	// Suspended or deleted, the policy goes on as it was.
	h.update(policy, func() { policy.Spec.Suspend, policy.Spec.Retry.MaxAttempts = true, 2 })
	h.pass(policy)
	h.wants(policy, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	h.settled(cluster)
	wantsTold(want)
	h.delete(policy)
	h.restart()
	h.pass(cluster)
	h.settled(cluster)
	wantsTold(want)

	// A second group comes, and both go.
	h.policy("other")
	other := h.readyGroup("audit", func(group *v1alpha1.ConsumerGroup) {
		group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "other"}
	})
	h.settled(cluster)
	if groups := told(h, cluster).Groups; len(groups) != 2 || groups[0].Group != other.Status.GroupID {
		t.Errorf("the worker is told of %+v", groups)
	}
	h.delete(group)
	h.wantsGone(group)
	h.settled(cluster)
	h.wantsBindings(deadletter.DLT(id))
	h.update(other, func() { other.Spec.DeadLetterPolicyRef = nil })
	h.passUntilReady(other)
	h.settled(cluster)
	var deployment appsv1.Deployment
	if err := h.live.Get(t.Context(), client.ObjectKey{Namespace: h.operator, Name: retryWorkerName(cluster.Name)}, &deployment); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the Deployment is still there, or: %v", err)
	}
	if told(h, cluster) != nil || cluster.Status.RetryWorker != nil || h.condition(cluster, v1alpha1.ConditionRetryWorkerReady).Type != "" {
		t.Errorf("there is still a retry worker: %+v", cluster.Status)
	}
	h.wantsBindings(retryConsumerGroup(cluster.Name))
}

// The operator's own credentials are a super user's, and worth more than a
// worker needs: without others there is no worker.
func TestRetryWorkerNeverHasTheOperatorsCredentials(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	h.readyTopic("orders")
	h.policy("standard")
	h.readyGroup("billing", withPolicy)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: h.operator, Name: retryWorkerName(cluster.Name)}}
	wantsNone := func() {
		t.Helper()
		h.settled(cluster)
		h.wantsReady(cluster)
		h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonIdentityMissing,
			"failed records wait, since no worker moves them: set spec.retryWorker.kafka to a principal of the worker's own and its Secret in namespace "+h.operator)
		if !h.gone(deployment) || cluster.Status.RetryWorker != nil {
			t.Errorf("there is a retry worker: %+v", cluster.Status.RetryWorker)
		}
	}
	wantsNone()

	h.update(cluster, func() { h.withRetryWorker(cluster) })
	h.settled(cluster)
	h.must(h.live.Get(t.Context(), keyOf(deployment), deployment))
	for _, source := range deployment.Spec.Template.Spec.Volumes[0].Projected.Sources {
		if source.Secret != nil && source.Secret.Name != "retry" {
			t.Errorf("the worker mounts Secret %s", source.Secret.Name)
		}
	}
	told := told(h, cluster)
	if told.Kafka.ClusterID != cluster.Status.ClusterID || told.Kafka.SASL == nil {
		t.Errorf("the worker is told %+v", told.Kafka)
	}

	h.update(cluster, func() { cluster.Spec.RetryWorker = nil })
	wantsNone()
}

func TestRetryWorkerTroubles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
			Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
		}}
	})
	topic := h.readyTopic("orders")
	h.policy("standard")
	h.readyGroup("billing", withPolicy)
	h.pass(cluster)
	// The cluster is Ready all the same: topics do not need the worker.
	h.wantsReady(cluster)
	h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound,
		"spec.retryWorker.kafka.credentialsSecretRef: Secret "+h.operator+"/retry does not exist; create it: kubectl -n "+h.operator+" create secret generic retry")
	h.pass(topic)
	h.wantsReady(topic)

	h.secret(h.operator, "retry", "username", "retry", "password", "secret")
	name := worker.Spec{Name: retryWorkerName(cluster.Name), Component: "retry", Image: "weir:test", Followed: true}.ConfigMap().Name
	stranger := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.operator, Name: name}}
	h.must(h.live.Create(t.Context(), stranger))
	h.pass(cluster)
	h.wantsReady(cluster)
	h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, v1alpha1.ReasonNameConflict,
		"ConfigMap "+h.operator+"/"+name+" exists and is not Weir's; delete or rename it: Weir needs that name")
	h.must(h.live.Delete(t.Context(), stranger))
	h.settled(cluster)

	// Its pod speaks.
	pod := h.pod(h.operator, retryWorkerName(cluster.Name))
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
		pod.says(test.state)
		h.pass(cluster)
		h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, test.status, test.reason, test.message)
		h.wantsReady(cluster)
	}

	// What Kubernetes refuses of the template is the template's problem.
	h.update(cluster, func() {
		cluster.Spec.RetryWorker.PodTemplate.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Never"}}
	})
	h.pass(cluster)
	h.wantsReady(cluster)
	h.wants(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, child.ReasonRejected, "spec.template.spec.tolerations")
}

// Deleting a KafkaCluster revokes its retry worker's grants.
func TestRetryWorkerOfADeletedCluster(t *testing.T) {
	t.Parallel()
	gated, gate := env.SharedGate(t)
	h := newHarnessOn(t, gated)
	cluster := h.cluster(func(c *v1alpha1.KafkaCluster) {
		h.secret(h.operator, "retry", "username", "retry", "password", "secret")
		c.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
			Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
		}}
	})
	h.readyTopic("orders")
	h.policy("standard")
	group := h.readyGroup("billing", withPolicy)
	h.settled(cluster)
	h.delete(cluster)
	h.pass(cluster)
	h.wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse,
		"still used by ConsumerGroup "+h.namespace+"/billing, Topic "+h.namespace+"/orders; delete them first, or annotate this KafkaCluster with weir.dev/force-delete=true")
	h.delete(group)
	h.wantsGone(group)
	topic := h.reread(&v1alpha1.Topic{}, "orders")
	h.delete(topic)
	h.wantsGone(topic)
	gate.Cut()
	h.pass(cluster)
	h.wants(cluster, v1alpha1.ConditionReconciling, metav1.ConditionTrue, kafka.Unreachable, orForceWords)
	gate.Reopen(t)
	h.await(func() string {
		if _, err := h.pass(cluster); err != nil || !h.gone(cluster) {
			return "the KafkaCluster did not go"
		}
		return ""
	})
	h.wantsBindings(retryConsumerGroup(cluster.Name))
}
