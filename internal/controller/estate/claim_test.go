package estate

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/record"
)

// What a namespace is allowed follows its labels and its KafkaCluster, and is
// forgotten with what goes of it.
func TestAllowances(t *testing.T) {
	t.Parallel()
	cluster := func(generation int64, topics v1alpha1.NamePattern) *v1alpha1.KafkaCluster {
		return &v1alpha1.KafkaCluster{
			ObjectMeta: metav1.ObjectMeta{Name: "main", UID: "uid", Generation: generation},
			Spec: v1alpha1.KafkaClusterSpec{Naming: v1alpha1.ClusterNaming{Rules: []v1alpha1.NamingRule{{
				Namespaces: &v1alpha1.NamespaceLabels{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}, Topics: []v1alpha1.NamePattern{topics},
			}}}},
		}
	}
	var known allowances
	for _, step := range []struct {
		cluster *v1alpha1.KafkaCluster
		labels  map[string]string
		want    bool
	}{
		{cluster(1, "legacy-*"), map[string]string{"team": "shop"}, true},
		{cluster(1, "legacy-*"), map[string]string{"team": "other"}, false},
		{cluster(1, "legacy-*"), map[string]string{"team": "shop"}, true},
		{cluster(2, "old-*"), map[string]string{"team": "shop"}, false}, // another generation
	} {
		allowed := known.of(step.cluster, "a", step.labels)
		known.of(step.cluster, "b", nil)
		if got := slices.Contains(allowed[record.Topic], "legacy-*"); got != step.want {
			t.Errorf("generation %d with labels %v allows it: %t, want %t", step.cluster.Generation, step.labels, got, step.want)
		}
	}
	known.forget("a")
	if _, there := known.byNamespace["a"]; there || len(known.byNamespace) != 1 {
		t.Errorf("known are %v", known.byNamespace)
	}
}
