package controller_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/test/env"
)

// Each file under testdata/refused is a manifest that the API server takes and
// that cannot be had. Its first line says how the resource must end: Stalled,
// Retrying or Waiting, the reason, and words of the message.
func TestRefused(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no manifests: ", err)
	}
	h, words := refusedWorld(t)
	decoder := serializer.NewCodecFactory(h.Live.Scheme(), serializer.EnableStrict).UniversalDeserializer()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			h := *h
			h.T = t
			text, err := os.ReadFile(file)
			h.Must(err)
			manifest := words.Replace(string(text))
			first, _, _ := strings.Cut(manifest, "\n")
			kind, rest, _ := strings.Cut(strings.TrimPrefix(first, "# "), " ")
			reason, message, ok := strings.Cut(rest, ": ")
			if !ok {
				t.Fatalf("the first line is not an expectation: %q", first)
			}
			decoded, _, err := decoder.Decode([]byte(manifest), nil, nil)
			h.Must(err)
			obj := decoded.(client.Object)
			h.Create(obj)
			_, _ = h.Pass(obj) // the conditions say more
			for condition, present := range map[string]bool{
				v1alpha1.ConditionStalled: kind == "Stalled", v1alpha1.ConditionReconciling: kind == "Retrying",
			} {
				if (h.Condition(obj, condition).Type != "") != present {
					t.Errorf("want %s, and condition %s is %+v", kind, condition, h.Condition(obj, condition))
				}
			}
			h.Wants(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		})
	}
}

// refusedWorld is what the manifests refer to, and the words that stand for it.
func refusedWorld(t *testing.T) (*harness.Harness, *strings.Replacer) {
	h := harness.New(t)
	cluster := h.Cluster()
	h.Secret(h.Operator, "half", "username", "somebody")
	h.Secret(h.Operator, "wrong", "username", h.Kafka.Admin.Name, "password", "wrong")
	h.Secret(h.Operator, "not-pem", "tls.crt", "no", "tls.key", "no")
	h.Secret(h.Namespace, "db", "uri", "postgresql://db", "empty", "")
	h.Secret(h.Namespace, "relay", "username", "shop-relay", "password", "secret")
	h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Name += "-second" })
	h.Cluster(func(c *v1alpha1.KafkaCluster) { c.Name += "-unready"; c.Spec.SASL.SecretRef.Name = "absent" })
	h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Name += "-closed"
		c.Spec.Namespaces = v1alpha1.ClusterNamespaces{
			From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kafka": "yes"}},
		}
	})
	other := env.Unique("other")
	h.Must(h.Live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}}))

	h.ReadyTopic("orders")
	h.ReadyTopic("payments.retry")
	h.Topic("not-ready")
	abroad := h.Topic("orders", func(topic *v1alpha1.Topic) { topic.Namespace = other })
	h.PassUntilReady(abroad)
	h.MakeTopic(h.Namespace+".existing", 3, nil)
	h.MakeTopic(h.Namespace+".existing-too", 3, nil)
	h.Policy("standard")
	h.Policy("endless", func(policy *v1alpha1.DeadLetterPolicy) {
		policy.Spec.Retry.MaxAttempts = 20
		policy.Spec.Retry.Backoff.Factor = new(int32(100))
	})
	h.ReadyGroup("billing", harness.WithPolicy)
	return h, strings.NewReplacer(
		"${namespace}", h.Namespace, "${other}", other, "${operator}", h.Operator, "${cluster}", cluster.Name,
		"${bootstrap}", h.Kafka.Bootstrap[0], "${mechanism}", string(cluster.Spec.SASL.Mechanism),
	)
}
