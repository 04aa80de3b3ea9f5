package controller_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/test/env/kube"
)

// Of PrometheusRules only those of Weir's are cached, also where the Prometheus
// operator is installed after the manager has started; of Weir's kinds all are.
func TestCacheOfRulesThatComeLater(t *testing.T) {
	t.Parallel()
	control, err := kube.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.Close() })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(control.InstallCRDs(t.Context()))
	options := controller.CacheOptions()
	options.Scheme = controller.NewScheme()
	cached, err := cache.New(control.Config, options)
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cached.Start(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	cached.WaitForCacheSync(ctx)

	must(control.InstallPrometheusRules())
	live, err := client.New(control.Config, client.Options{Scheme: options.Scheme})
	must(err)
	meta := func(name string, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Labels: labels}
	}
	must(live.Create(t.Context(), &monitoringv1.PrometheusRule{ObjectMeta: meta("ours", map[string]string{child.ManagedByLabel: child.ManagedBy})}))
	must(live.Create(t.Context(), &monitoringv1.PrometheusRule{ObjectMeta: meta("somebody-elses", nil)}))
	must(live.Create(t.Context(), &v1alpha1.Topic{ObjectMeta: meta("orders", nil)}))

	var rules monitoringv1.PrometheusRuleList
	var topics v1alpha1.TopicList
	must(cached.List(t.Context(), &rules)) // its first list waits for the informer
	must(cached.List(t.Context(), &topics))
	var names []string
	for _, rule := range rules.Items {
		names = append(names, rule.Name)
	}
	for _, topic := range topics.Items {
		names = append(names, topic.Name)
	}
	if diff := cmp.Diff([]string{"ours", "orders"}, names); diff != "" {
		t.Errorf("cached (-want +got):\n%s", diff)
	}
}
