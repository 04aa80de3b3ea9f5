package v1alpha1_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/weir-dev/weir/test/env/kube"
)

// What kubectl prints fits a terminal of 120 columns, with names and numbers as
// long as a real topology has them.
func TestColumnsFit(t *testing.T) {
	t.Parallel()
	const width = 120
	server := newServer(t)
	cluster := kube.Shared(t)
	server.namespace = cluster.Namespace(t)
	const ready = `"conditions": [{"type": "Ready", "status": "Unknown", "reason": "ClusterIdMismatch", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
		{"type": "Lagging", "status": "Unknown", "reason": "LagUnknown", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
		{"type": "Backlogged", "status": "Unknown", "reason": "BacklogUnknown", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]`
	objects := map[string]string{
		`{"kind": "KafkaCluster", "metadata": {"name": "production-eu-west-1"}, "spec": {"bootstrapServers": ["kafka:9092"]}}`:                  `"brokers": 120, "topics": 10000, "authorizer": "Disabled"`,
		`{"kind": "Topic", "metadata": {"name": "payment-authorizations"}}`:                                                                     `"topicName": "payments.payment-authorizations", "partitions": 1200, "replicas": 3`,
		`{"kind": "OutboxRelay", "metadata": {"name": "payment-authorizations"}, "spec": ` + minimalRelay + `}`:                                 `"pendingRows": 120000000, "lastPublishedTime": "2026-01-01T00:00:00Z"`,
		`{"kind": "ConsumerGroup", "metadata": {"name": "payment-reconciliation"}, "spec": {"principal": "User:a", "topics": [{"name": "a"}]}}`: `"lag": {"records": 120000000, "timeSeconds": 86400}, "deadLetters": {"topic": "a.dlt", "depth": 1200000}, "state": "PreparingRebalance"`,
		`{"kind": "DeadLetterPolicy", "metadata": {"name": "exponential-then-park"}}`:                                                           `"totalDelay": "72h15m30s", "consumerGroups": 120, "deadLetters": 1200000`,
	}
	for manifest, status := range objects {
		object := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(`{"apiVersion": "weir.dev/v1alpha1", `+manifest[1:]), &object.Object); err != nil {
			t.Fatal(err)
		}
		resource := server.resource(object)
		if _, err := resource.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := resource.Delete(context.Background(), object.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		patch := []byte(`{"status": {"observedGeneration": 1, ` + ready + `, ` + status + `}}`)
		if _, err := resource.Patch(t.Context(), object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}

	output, err := cluster.Kubectl(t.Context(), "get", "weir", "--all-namespaces")
	if err != nil {
		t.Fatal(err)
	}
	for kind := range server.crds {
		if !strings.Contains(output, strings.ToLower(kind)+".weir.dev/") {
			t.Errorf("kubectl get weir shows no %s:\n%s", kind, output)
		}
	}
	for line := range strings.Lines(output) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, " \n")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

const minimalRelay = `{
	"database": {"connectionSecretRef": {"name": "db", "key": "uri"}},
	"routes": [{"topicRef": {"name": "orders"}}],
	"kafka": {"principal": "User:relay", "credentialsSecretRef": {"name": "kafka"}}}`
