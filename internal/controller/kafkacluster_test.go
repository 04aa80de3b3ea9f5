package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
)

func TestKafkaClusterConnects(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	h.wantsReady(cluster)
	if cluster.Status.ClusterID == "" || cluster.Status.Brokers == 0 || cluster.Status.Authorizer != v1alpha1.AuthorizerEnabled {
		t.Errorf("status says too little: %+v", cluster.Status)
	}
}

func TestKafkaClusterTroubles(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct {
		change  func(*harness, *v1alpha1.KafkaCluster)
		stalled bool
		reason  string
		message string
	}{
		"no Secret": {
			change:  func(_ *harness, c *v1alpha1.KafkaCluster) { c.Spec.SASL.SecretRef.Name = "absent" },
			reason:  v1alpha1.ReasonSecretNotFound,
			message: "create secret generic absent --from-literal=username=… --from-literal=password=…",
		},
		"wrong password": {
			change: func(h *harness, c *v1alpha1.KafkaCluster) {
				h.secret(h.operator, "wrong", "username", h.kafka.Admin.Name, "password", "wrong")
				c.Spec.SASL.SecretRef.Name = "wrong"
			},
			stalled: true, reason: v1alpha1.ReasonUnauthorized, message: "",
		},
		"a user without rights": {
			change: func(h *harness, c *v1alpha1.KafkaCluster) {
				user := h.kafka.User(h.T, env.Unique("nobody"))
				h.secret(h.operator, "nobody", "username", user.Name, "password", user.Password)
				c.Spec.SASL.SecretRef.Name = "nobody"
				c.Spec.SASL.Mechanism = v1alpha1.SASLScramSHA512
			},
			stalled: true, reason: v1alpha1.ReasonUnauthorized, message: "DESCRIBE on the Cluster",
		},
		"a Secret without password": {
			change: func(h *harness, c *v1alpha1.KafkaCluster) {
				h.secret(h.operator, "half", "username", "somebody")
				c.Spec.SASL.SecretRef.Name = "half"
			},
			stalled: true, reason: v1alpha1.ReasonSecretInvalid, message: `no value under the key "password"`,
		},
		"another cluster": {
			change:  func(_ *harness, c *v1alpha1.KafkaCluster) { c.Spec.ClusterID = "not-this-one" },
			stalled: true, reason: v1alpha1.ReasonClusterIDMismatch, message: `and "not-this-one" is expected; nothing is touched`,
		},
		"nobody listens": {
			change:  func(_ *harness, c *v1alpha1.KafkaCluster) { c.Spec.BootstrapServers = []string{"127.0.0.1:1"} },
			reason:  v1alpha1.ReasonUnreachable,
			message: "127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			cluster := h.cluster(func(c *v1alpha1.KafkaCluster) { trouble.change(h, c) })
			if trouble.stalled {
				h.wantsStalled(cluster, trouble.reason, trouble.message)
			} else {
				h.wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, trouble.reason, trouble.message)
			}
		})
	}
}

func TestKafkaClusterHealsWhenItsSecretDoes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.secret(h.operator, "rotated", "username", h.kafka.Admin.Name, "password", "old")
	cluster := h.cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.SASL.SecretRef.Name = "rotated" })
	h.wantsStalled(cluster, v1alpha1.ReasonUnauthorized, "")
	h.secret(h.operator, "rotated", "username", h.kafka.Admin.Name, "password", h.kafka.Admin.Password)
	h.passUntil(cluster, v1alpha1.ConditionReady, v1alpha1.ReasonConnected)
	want := []string{"KafkaCluster " + v1alpha1.ReasonUnauthorized, "KafkaCluster " + v1alpha1.ReasonConnected}
	if diff := cmp.Diff(want, h.events.transitions); diff != "" {
		t.Errorf("transitions told (-want +got):\n%s", diff)
	}
}

func TestKafkaClusterStaysWhileItIsUsed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.topic("orders")
	h.pass(topic)
	h.delete(cluster)
	h.pass(cluster)
	h.wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse, "Topic "+h.namespace+"/orders")

	h.delete(topic)
	h.pass(topic)
	if !h.gone(topic) {
		t.Fatal("the Topic did not go")
	}
	h.pass(cluster)
	if !h.gone(cluster) {
		t.Error("the KafkaCluster did not go, though nothing uses it")
	}
}
