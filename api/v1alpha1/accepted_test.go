package v1alpha1_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// Each file under testdata/accepted is a right manifest, some with a right
// change of it; the golden file beside it is what the API server made of it.
func TestAccepted(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	files, err := filepath.Glob("testdata/accepted/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := decode(t, file, read(t, file))
			object := server.create(t, objects[0])
			if len(objects) == 2 {
				if object, err = server.update(t, object, objects[1]); err != nil {
					t.Fatal(err)
				}
			}
			stored, err := server.resource(object).Get(t.Context(), object.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(map[string]any{"spec": stored.Object["spec"], "status": stored.Object["status"]})
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(read(t, golden)), string(got)); diff != "" {
				t.Errorf("the API server made something else of it (-want +got):\n%s", diff)
			}
		})
	}
}

// An object that is made in Go, and says only what it must, gets the same
// defaults as one in YAML: a zero value is absent and not a wrong duration.
func TestZeroValuesAreAbsent(t *testing.T) {
	t.Parallel()
	cluster := kube.Shared(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	typed, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: env.Unique("zero"), Namespace: cluster.Namespace(t)}
	relay := &v1alpha1.OutboxRelay{ObjectMeta: meta, Spec: v1alpha1.OutboxRelaySpec{
		Database: v1alpha1.Database{ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "db", Key: "uri"}},
		Outbox:   v1alpha1.Outbox{Columns: v1alpha1.OutboxColumns{CreatedAt: "created_at"}},
		Capture:  v1alpha1.Capture{Polling: v1alpha1.Polling{BatchSize: 10}},
		Routes:   []v1alpha1.Route{{TopicRef: v1alpha1.TopicReference{Name: "orders"}}},
		Kafka:    v1alpha1.KafkaCredentials{Principal: "User:relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "kafka"}},
	}}
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: meta, Spec: v1alpha1.DeadLetterPolicySpec{
		Retry: v1alpha1.Retry{MaxAttempts: 3, Backoff: v1alpha1.Backoff{Policy: v1alpha1.BackoffFixed}},
	}}
	group := &v1alpha1.ConsumerGroup{ObjectMeta: meta, Spec: v1alpha1.ConsumerGroupSpec{
		Principal: "User:billing", Topics: []v1alpha1.TopicReference{{Name: "orders"}},
	}}
	topic := &v1alpha1.Topic{ObjectMeta: meta}
	kafka := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: meta.Name}, Spec: v1alpha1.KafkaClusterSpec{
		BootstrapServers: []string{"localhost:9092"},
	}}
	for _, object := range []client.Object{relay, policy, group, topic, kafka} {
		if err := typed.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}

	type defaults struct {
		Interval, Delay, Retention, Table, From, Severity, Deletion, Naming string
		Observed                                                            []int64
	}
	got := defaults{
		Interval:  relay.Spec.Capture.Polling.MaxInterval.Duration.String(),
		Delay:     policy.Spec.Retry.Backoff.Delay.Duration.String(),
		Retention: policy.Spec.DeadLetter.Retention.Duration.String(),
		Table:     relay.Spec.Outbox.Table,
		From:      string(topic.Spec.AllowedConsumers.Namespaces.From),
		Severity:  group.Spec.Alerts.Severity.Lag,
		Deletion:  string(topic.Spec.DeletionPolicy),
		Naming:    string(kafka.Spec.Naming.Policy),
		Observed: []int64{
			relay.Status.ObservedGeneration, policy.Status.ObservedGeneration, group.Status.ObservedGeneration,
			topic.Status.ObservedGeneration, kafka.Status.ObservedGeneration,
		},
	}
	want := defaults{
		Interval: "500ms", Delay: "1s", Retention: "336h0m0s", Table: "public.outbox", From: "Same",
		Severity: "warning", Deletion: "Retain", Naming: "Rules", Observed: []int64{-1, -1, -1, -1, -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults of what the Go client left out (-want +got):\n%s", diff)
	}
}
