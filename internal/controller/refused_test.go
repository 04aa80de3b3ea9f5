package controller

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
	decoder := serializer.NewCodecFactory(h.live.Scheme(), serializer.EnableStrict).UniversalDeserializer()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			h := *h
			h.T = t
			text, err := os.ReadFile(file)
			h.must(err)
			manifest := words.Replace(string(text))
			first, _, _ := strings.Cut(manifest, "\n")
			kind, rest, _ := strings.Cut(strings.TrimPrefix(first, "# "), " ")
			reason, message, ok := strings.Cut(rest, ": ")
			if !ok {
				t.Fatalf("the first line is not an expectation: %q", first)
			}
			decoded, _, err := decoder.Decode([]byte(manifest), nil, nil)
			h.must(err)
			obj := decoded.(client.Object)
			h.create(obj)
			_, _ = h.pass(obj) // the conditions say more
			for condition, present := range map[string]bool{
				v1alpha1.ConditionStalled: kind == "Stalled", v1alpha1.ConditionReconciling: kind == "Retrying",
			} {
				if (h.condition(obj, condition).Type != "") != present {
					t.Errorf("want %s, and condition %s is %+v", kind, condition, h.condition(obj, condition))
				}
			}
			h.wants(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		})
	}
}

// refusedWorld is what the manifests refer to, and the words that stand for it.
func refusedWorld(t *testing.T) (*harness, *strings.Replacer) {
	h := newHarness(t)
	cluster := h.cluster()
	h.secret(h.operator, "half", "username", "somebody")
	h.secret(h.operator, "wrong", "username", h.kafka.Admin.Name, "password", "wrong")
	h.secret(h.operator, "not-pem", "tls.crt", "no", "tls.key", "no")
	h.secret(h.namespace, "db", "uri", "postgresql://db", "empty", "")
	h.secret(h.namespace, "relay", "username", "shop-relay", "password", "secret")
	h.cluster(func(c *v1alpha1.KafkaCluster) { c.Name += "-second" })
	h.cluster(func(c *v1alpha1.KafkaCluster) { c.Name += "-unready"; c.Spec.SASL.SecretRef.Name = "absent" })
	h.cluster(func(c *v1alpha1.KafkaCluster) {
		c.Name += "-closed"
		c.Spec.Namespaces = v1alpha1.ClusterNamespaces{
			From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kafka": "yes"}},
		}
	})
	other := env.Unique("other")
	h.must(h.live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}}))

	h.readyTopic("orders")
	h.readyTopic("payments.retry")
	h.topic("not-ready")
	abroad := h.topic("orders", func(topic *v1alpha1.Topic) { topic.Namespace = other })
	h.passUntilReady(abroad)
	h.makeTopic(h.namespace+".existing", 3, nil)
	h.makeTopic(h.namespace+".existing-too", 3, nil)
	h.policy("standard")
	h.policy("endless", func(policy *v1alpha1.DeadLetterPolicy) {
		policy.Spec.Retry.MaxAttempts = 20
		policy.Spec.Retry.Backoff.Factor = new(int32(100))
	})
	h.readyGroup("billing", withPolicy)
	return h, strings.NewReplacer(
		"${namespace}", h.namespace, "${other}", other, "${operator}", h.operator, "${cluster}", cluster.Name,
		"${bootstrap}", h.kafka.Bootstrap[0], "${mechanism}", string(cluster.Spec.SASL.Mechanism),
	)
}
