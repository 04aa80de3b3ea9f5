package controller

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/relay/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what is rendered with testdata/<name>.golden, one YAML
// document each.
func golden(t *testing.T, name string, objects ...any) {
	t.Helper()
	var got []byte
	for i, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			got = append(got, "---\n"...)
		}
		got = append(got, text...)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("rendered (-want +got); if that is right: go test ./internal/controller -run %s -update\n%s", t.Name(), diff)
	}
}

func goldenCluster() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "main", UID: "cluster-uid", Generation: 4},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: []string{"kafka-0:9093", "kafka-1:9093"},
			TLS:              &v1alpha1.KafkaTLS{},
			SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLScramSHA512, SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
			RetryWorker: &v1alpha1.RetryWorkerSpec{
				Kafka:    v1alpha1.KafkaCredentials{Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry-kafka"}},
				Replicas: ptr(int32(2)),
			},
		},
		Status: v1alpha1.KafkaClusterStatus{ClusterID: "abc"},
	}
}

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
			Replicas:  ptr(int32(2)),
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100Mi")}},
			PodTemplate: v1alpha1.PodTemplate{
				Labels:      map[string]string{"team": "shop", managedByLabel: "somebody else"},
				Annotations: map[string]string{"example.com/scrape": "true"}, NodeSelector: map[string]string{"disk": "ssd"},
				Tolerations:        []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
				ServiceAccountName: "relay", ImagePullSecrets: []v1alpha1.SecretReference{{Name: "registry"}},
			},
		},
	}
}

func goldenRelay(t *testing.T) worker {
	t.Helper()
	rendered, err := renderRelay(goldenOutboxRelay(), goldenCluster(), []string{"shop.orders", "shop.rest"}, []string{"username", "password"}, "PEM", "weir:1")
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func goldenRetryWorker(t *testing.T) worker {
	t.Helper()
	groups := []config.RetryGroup{{
		Name: "finance/billing", Group: "billing", Waits: 2, MaxAttempts: 3, Delays: []config.Duration{config.Duration(time.Second), config.Duration(time.Minute)},
		JitterPercent: 20, MaxElapsed: config.Duration(time.Hour), PermanentErrors: []string{"*SchemaException"},
	}}
	rendered, err := renderRetryWorker(goldenCluster(), groups, "retry-kafka", []string{"username", "password"}, "", "weir-system", "weir:1")
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func TestRenderRelay(t *testing.T) {
	t.Parallel()
	w := goldenRelay(t)
	golden(t, "relay", w.configMap(), w.deployment())
}

func TestRenderRetryWorker(t *testing.T) {
	t.Parallel()
	w := goldenRetryWorker(t)
	golden(t, "retryworker", w.configMap(), w.deployment())
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
			if diff := cmp.Diff(test.want, kafkaConfig(cluster, test.spec.TLS != nil, test.keys)); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			w, err := renderRelay(goldenOutboxRelay(), cluster, []string{"shop.orders", "shop.rest"}, test.keys, "", "weir:1")
			if err != nil {
				t.Fatal(err)
			}
			if secrets := len(w.secrets); (secrets == 2) != (len(test.keys) > 0) {
				t.Errorf("the worker gets %d Secrets with the keys %v", secrets, test.keys)
			}
		})
	}
}

func TestRenderAlerts(t *testing.T) {
	t.Parallel()
	group := func(change func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
		group := &v1alpha1.ConsumerGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: "finance", Name: "billing", UID: "group-uid"},
			Spec: v1alpha1.ConsumerGroupSpec{
				Lag:    v1alpha1.LagObjective{MaxTime: &metav1.Duration{Duration: time.Minute}},
				Alerts: v1alpha1.Alerts{Severity: v1alpha1.AlertSeverity{Lag: "warning"}},
			},
		}
		change(group)
		return group
	}
	golden(t, "alerts",
		renderAlerts(group(func(*v1alpha1.ConsumerGroup) {})),
		renderAlerts(group(func(group *v1alpha1.ConsumerGroup) {
			group.Spec.GroupID = "billing-v2"
			group.Spec.Lag = v1alpha1.LagObjective{
				MaxTime: &metav1.Duration{Duration: time.Minute}, MaxRecords: ptr(int64(1000)), For: &metav1.Duration{Duration: 90 * time.Second},
			}
			group.Spec.Alerts.Labels = map[string]string{"team": "finance"}
			group.Spec.Alerts.RunbookURL = "https://runbooks.example.com/billing"
		})),
		renderAlerts(group(func(group *v1alpha1.ConsumerGroup) {
			group.Spec.Lag = v1alpha1.LagObjective{MaxRecords: ptr(int64(1))}
			group.Spec.Alerts.Severity.Lag = "critical"
		})),
	)
}
