package kafkacluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
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

// Of two that lead to one Kafka one acts; when it goes, the other one may.
func TestOneKafkaClusterActs(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	second := h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Name += "-2" })
	h.WantsStalled(second, v1alpha1.ReasonClusterIDInUse, `KafkaCluster "`+cluster.Name+`" acts for the Kafka cluster with the ID "`+cluster.Status.ClusterID+`" already`)

	// It goes at once, and what was made there stays.
	h.Delete(cluster)
	h.WantsGone(cluster)
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, "create it, or name another one in spec.clusterRef")
	h.PassUntilReady(second)
	h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)

	// And here it is again.
	h.Delete(second)
	h.WantsGone(second)
	again := h.Cluster()
	h.PassUntilReady(again)
	h.PassUntilReady(topic)
	if again.Annotations[v1alpha1.RecordAnnotation] != again.Status.ClusterID {
		t.Errorf("annotations %v, cluster ID %s", again.Annotations, again.Status.ClusterID)
	}
}
