package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The largest access that the rules let through is stored: etcd takes 1.5 MB.
func TestLargestAccessFits(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	wide := func(prefix string, length int) string { // of characters with four bytes each
		return prefix + strings.Repeat("𝔞", length-len(prefix))
	}
	names := func() []any {
		return []any{wide("", 249), wide("*", 249)[1:] + "*"}
	}
	access := make([]any, 128)
	for i := range access {
		entry := map[string]any{"principal": wide("User:", 256), "allow": []any{"Consume", "Produce"}}
		if i%2 == 0 {
			entry["groups"], entry["transactionalIds"] = names(), names()
		}
		access[i] = entry
	}
	topic := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "weir.dev/v1alpha1", "kind": "Topic", "metadata": map[string]any{"name": "large"},
		"spec": map[string]any{"access": access},
	}}
	server.create(t, topic)
}
