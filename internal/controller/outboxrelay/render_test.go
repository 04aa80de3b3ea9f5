package outboxrelay

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/harness/golden"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

func goldenOutboxRelay() *v1alpha1.OutboxRelay {
	return &v1alpha1.OutboxRelay{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "relay-uid", Generation: 2},
		Spec: v1alpha1.OutboxRelaySpec{
			Database: v1alpha1.Database{
				Engine: v1alpha1.EnginePostgres, ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "shop-db-app", Key: "uri"},
			},
			Outbox: v1alpha1.Outbox{Table: "public.outbox", Columns: v1alpha1.OutboxColumns{
				ID: "id", AggregateType: "aggregatetype", AggregateID: "aggregateid", Type: "type", Payload: "payload",
				Sequence: "seq", CreatedAt: "created_at", Headers: "headers", Status: "status", PublishedAt: "published_at",
			}},
			Capture: v1alpha1.Capture{Mode: v1alpha1.CapturePolling, Polling: v1alpha1.Polling{
				MaxInterval: metav1.Duration{Duration: 500 * time.Millisecond}, BatchSize: 1000,
			}},
			AfterPublish: v1alpha1.MarkRow,
			Routes: []v1alpha1.Route{
				{AggregateType: "order", TopicRef: v1alpha1.TopicReference{Name: "orders"}}, {TopicRef: v1alpha1.TopicReference{Name: "rest"}},
			},
			Kafka: v1alpha1.KafkaCredentials{
				Principal: "User:shop-relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "shop-relay-kafka"},
			},
			Replicas:  new(int32(2)),
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100Mi")}},
			PodTemplate: v1alpha1.PodTemplate{
				Labels:      map[string]string{"team": "shop", child.ManagedByLabel: "somebody else"},
				Annotations: map[string]string{"example.com/scrape": "true"}, NodeSelector: map[string]string{"disk": "ssd"},
				Tolerations:        []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
				ServiceAccountName: "relay", ImagePullSecrets: []v1alpha1.SecretReference{{Name: "registry"}},
			},
		},
	}
}

func goldenRelay(t *testing.T) worker.Spec {
	t.Helper()
	rendered, err := render(goldenOutboxRelay(), golden.Cluster(), []string{"shop.orders", "shop.rest"}, []string{"username", "password"}, "PEM", "weir:1")
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func TestRenderRelay(t *testing.T) {
	t.Parallel()
	w := goldenRelay(t)
	golden.Compare(t, "relay", w.ConfigMaps()[0], w.Deployment())
}

// How workers authenticate follows the cluster.
func TestRenderKafkaConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spec v1alpha1.KafkaClusterSpec
		keys []string
		want config.Kafka
	}{
		"open": {want: config.Kafka{}},
		"mutual TLS": {
			spec: v1alpha1.KafkaClusterSpec{TLS: &v1alpha1.KafkaTLS{}}, keys: []string{"tls.crt", "tls.key"},
			want: config.Kafka{TLS: &config.TLS{CAFile: "ca.crt", CertFile: "kafka/tls.crt", KeyFile: "kafka/tls.key"}},
		},
		"SASL in plaintext": {
			spec: v1alpha1.KafkaClusterSpec{SASL: &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLPlain}}, keys: []string{"username", "password"},
			want: config.Kafka{SASL: &config.SASL{Mechanism: config.Plain, UsernameFile: "kafka/username", PasswordFile: "kafka/password"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := &v1alpha1.KafkaCluster{Spec: test.spec}
			if diff := cmp.Diff(test.want, worker.KafkaConfig(cluster, test.spec.TLS != nil, test.keys)); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			w, err := render(goldenOutboxRelay(), cluster, []string{"shop.orders", "shop.rest"}, test.keys, "", "weir:1")
			if err != nil {
				t.Fatal(err)
			}
			if secrets := len(w.Secrets); (secrets == 2) != (len(test.keys) > 0) {
				t.Errorf("the worker gets %d Secrets with the keys %v", secrets, test.keys)
			}
		})
	}
}
