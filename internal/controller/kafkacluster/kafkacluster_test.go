package kafkacluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/test/env"
)

func TestKafkaClusterConnects(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	h.WantsReady(cluster)
	if cluster.Status.ClusterID == "" || cluster.Status.Brokers == 0 || cluster.Status.Authorizer != v1alpha1.AuthorizerEnabled {
		t.Errorf("status says too little: %+v", cluster.Status)
	}
}

func TestKafkaClusterTroubles(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct {
		change  func(*harness.Harness, *v1alpha1.KafkaCluster)
		stalled bool
		reason  string
		message string
	}{
		"no Secret": {
			change:  func(_ *harness.Harness, c *v1alpha1.KafkaCluster) { c.Spec.SASL.SecretRef.Name = "absent" },
			reason:  v1alpha1.ReasonSecretNotFound,
			message: "create secret generic absent --from-literal=username=… --from-literal=password=…",
		},
		"wrong password": {
			change: func(h *harness.Harness, c *v1alpha1.KafkaCluster) {
				h.Secret(h.Operator, "wrong", "username", h.Kafka.Admin.Name, "password", "wrong")
				c.Spec.SASL.SecretRef.Name = "wrong"
			},
			stalled: true, reason: v1alpha1.ReasonUnauthorized, message: "",
		},
		"a user without rights": {
			change: func(h *harness.Harness, c *v1alpha1.KafkaCluster) {
				user := h.Kafka.User(h.T, env.Unique("nobody"))
				h.Secret(h.Operator, "nobody", "username", user.Name, "password", user.Password)
				c.Spec.SASL.SecretRef.Name = "nobody"
				c.Spec.SASL.Mechanism = v1alpha1.SASLScramSHA512
			},
			stalled: true, reason: v1alpha1.ReasonUnauthorized, message: "DESCRIBE on the Cluster",
		},
		"a Secret without password": {
			change: func(h *harness.Harness, c *v1alpha1.KafkaCluster) {
				h.Secret(h.Operator, "half", "username", "somebody")
				c.Spec.SASL.SecretRef.Name = "half"
			},
			stalled: true, reason: v1alpha1.ReasonSecretInvalid, message: `no value under the key "password"`,
		},
		"another cluster": {
			change:  func(_ *harness.Harness, c *v1alpha1.KafkaCluster) { c.Spec.ClusterID = "not-this-one" },
			stalled: true, reason: v1alpha1.ReasonClusterIDMismatch, message: `and "not-this-one" is expected; nothing is touched`,
		},
		"nobody listens": {
			change:  func(_ *harness.Harness, c *v1alpha1.KafkaCluster) { c.Spec.BootstrapServers = []string{"127.0.0.1:1"} },
			reason:  v1alpha1.ReasonUnreachable,
			message: "127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) { trouble.change(h, c) })
			if trouble.stalled {
				h.WantsStalled(cluster, trouble.reason, trouble.message)
			} else {
				h.Wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, trouble.reason, trouble.message)
			}
		})
	}
}

func TestKafkaClusterHealsWhenItsSecretDoes(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Secret(h.Operator, "rotated", "username", h.Kafka.Admin.Name, "password", "old")
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Spec.SASL.SecretRef.Name = "rotated" })
	h.WantsStalled(cluster, v1alpha1.ReasonUnauthorized, "")
	h.Secret(h.Operator, "rotated", "username", h.Kafka.Admin.Name, "password", h.Kafka.Admin.Password)
	h.PassUntil(cluster, v1alpha1.ConditionReady, v1alpha1.ReasonConnected)
	want := []string{"KafkaCluster " + v1alpha1.ReasonUnauthorized, "KafkaCluster " + v1alpha1.ReasonConnected}
	if diff := cmp.Diff(want, h.Events.Transitions); diff != "" {
		t.Errorf("transitions told (-want +got):\n%s", diff)
	}
}

func TestKafkaClusterStaysWhileItIsUsed(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.Topic("orders")
	h.Pass(topic)
	h.Delete(cluster)
	h.Pass(cluster)
	h.Wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse, "Topic "+h.Namespace+"/orders")
	// A team is not told to delete what belongs to others.
	late := h.Topic("late")
	h.Pass(late)
	h.Wants(late, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady,
		`KafkaCluster "`+cluster.Name+`" is being deleted: its owner has to decide; nothing on it is changed any more`)
	h.Delete(late)

	h.Delete(topic)
	h.Pass(topic)
	if !h.Gone(topic) {
		t.Fatal("the Topic did not go")
	}
	h.Pass(cluster)
	if !h.Gone(cluster) {
		t.Error("the KafkaCluster did not go, though nothing uses it")
	}
}
