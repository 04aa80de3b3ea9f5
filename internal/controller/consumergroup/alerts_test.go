package consumergroup

import (
	"errors"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The Prometheus operator may be installed and removed while Weir runs.
func TestRuleKindComesAndGoes(t *testing.T) {
	t.Parallel()
	var served *metav1.APIResourceList
	var failure error
	kind := &RuleKind{Served: func(groupVersion string) (*metav1.APIResourceList, error) {
		if groupVersion != "monitoring.coreos.com/v1" {
			t.Errorf("asked for %s", groupVersion)
		}
		return served, failure
	}}
	rules := &metav1.APIResourceList{APIResources: []metav1.APIResource{{Kind: "PodMonitor"}, {Kind: monitoringv1.PrometheusRuleKind}}}
	for _, step := range []struct {
		what    string
		served  *metav1.APIResourceList
		failure error
		want    bool
	}{
		{"not installed", nil, apierrors.NewNotFound(schema.GroupResource{}, ""), false},
		{"installed", rules, nil, true},
		{"the API server is away", nil, errors.New("connection refused"), true},
		{"only this kind is removed", &metav1.APIResourceList{APIResources: rules.APIResources[:1]}, nil, false},
		{"installed again", rules, nil, true},
		{"removed", nil, apierrors.NewNotFound(schema.GroupResource{}, ""), false},
	} {
		served, failure = step.served, step.failure
		if kind.Look(); kind.Present.Load() != step.want {
			t.Errorf("%s: present is %v", step.what, !step.want)
		}
	}
}
