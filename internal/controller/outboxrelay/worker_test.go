package outboxrelay_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/relay/config"
)

// A policy engine adds a sidecar to the worker's Deployment: that is no reason
// to write it again and again, and Weir does not take it away.
func TestSidecarOfAPolicyEngine(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	deployment := deployed(h)
	sidecar := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": deployment.Name, "namespace": deployment.Namespace},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "sidecar", "image": "sidecar"}},
		}}},
	}}
	h.Must(h.Live.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(sidecar), client.FieldOwner("policy-engine")))
	h.Await(func() string { // the cache has it, and Weir has looked
		h.Pass(relay)
		if containers := deployed(h).Spec.Template.Spec.Containers; len(containers) != 2 {
			return "the sidecar is gone"
		}
		return ""
	})
	h.Settled(relay)
	writes := h.API.Writes.Load()
	for range 5 {
		h.Pass(relay)
	}
	if n := h.API.Writes.Load() - writes; n != 0 {
		t.Errorf("5 passes wrote %d times", n)
	}
}

// What somebody changes of the worker is put right.
func TestWorkerIsPutRight(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	deployment := deployed(h)
	deployment.Spec.Replicas = new(int32(7))
	h.Must(h.Live.Update(t.Context(), deployment))
	h.Await(func() string {
		h.Pass(relay)
		if n := *deployed(h).Spec.Replicas; n != 1 {
			return "the worker still has the wrong number of replicas"
		}
		return ""
	})
}

// The children of an earlier owner of the same name are taken over.
func TestOrphansAreTakenOver(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	files := h.Files(h.Namespace, "weir-outbox-orders")
	for _, child := range []client.Object{deployed(h), files} {
		child.SetOwnerReferences(nil) // as kubectl delete --cascade=orphan leaves them
		h.Must(h.Live.Update(t.Context(), child))
	}
	h.Await(func() string {
		if _, err := h.Pass(relay); err != nil {
			return err.Error()
		}
		for _, child := range []client.Object{deployed(h), h.Files(h.Namespace, "weir-outbox-orders")} {
			if !metav1.IsControlledBy(child, relay) {
				return child.GetName() + " has no owner"
			}
		}
		return ""
	})
	if reason := h.Condition(relay, v1alpha1.ConditionReady).Reason; reason == v1alpha1.ReasonNameConflict {
		t.Error("Weir's own child is a conflict")
	}
}

// What Kubernetes refuses because the namespace goes sends nobody to look for a
// missing right.
func TestTerminatingNamespace(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Namespace}}
	h.Must(h.Live.Get(t.Context(), harness.KeyOf(namespace), namespace))
	h.Must(h.Live.Delete(t.Context(), namespace)) // no controller finishes it here
	h.Pass(relay)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNamespaceTerminating,
		`namespace "`+h.Namespace+`" is being deleted, and Kubernetes creates nothing in it any more`)
}

// replicaFailure is how a Deployment says that it gets no pod.
func replicaFailure(message string) []appsv1.DeploymentCondition {
	return []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message,
	}}
}

// Why there is no new pod is told, while the old one goes on.
func TestWhyThereIsNoPod(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	failing := func(message string) {
		deployment := deployed(h)
		deployment.Status.Conditions = replicaFailure(message)
		h.Must(h.Live.Status().Update(t.Context(), deployment))
		h.Sync(deployment)
		h.Pass(relay)
	}
	failing(`pods "weir-outbox-orders-6d4cf56db6-x7k2p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5`)
	const want = "Kubernetes makes no pod for the worker: forbidden: exceeded quota: small"
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, want)
	if message := h.Condition(relay, v1alpha1.ConditionReady).Message; strings.Contains(message, "x7k2p") {
		t.Errorf("the message names a pod that is another one at each attempt: %s", message)
	}
	pod := h.Pod(h.Namespace, "weir-outbox-orders")
	pod.Says(config.OutboxState{Phase: config.Active})
	h.Update(relay, func() { relay.Spec.Capture.Polling.BatchSize = 10 })
	h.Settled(relay)
	failing(`pods "weir-outbox-orders-6d4cf56db6-" is forbidden: error looking up service account shop/none: serviceaccount "none" not found`)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing,
		`the old one goes on publishing: Kubernetes makes no pod for the worker: forbidden: error looking up service account shop/none`)
}
