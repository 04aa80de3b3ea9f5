package prometheus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/kubernetes" // config knows kubernetes_sd_configs by it
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/test/env/operator"
)

// serviceMonitor is the scrape that the Prometheus operator makes of the
// ServiceMonitor in config/prometheus: target labels come from what was
// discovered, and series may keep their own only by honorLabels.
func serviceMonitor(t *testing.T) *config.Config {
	t.Helper()
	var monitor monitoringv1.ServiceMonitor
	if err := yaml.UnmarshalStrict(read(t, "config/prometheus/service_monitor.yaml"), &monitor); err != nil {
		t.Fatal(err)
	}
	endpoint := monitor.Spec.Endpoints[0]
	return load(t, fmt.Sprintf(`
scrape_configs:
- job_name: serviceMonitor/%s/%s/0
  honor_labels: %t
  scheme: %s
  authorization: {credentials_file: token}
  tls_config: {insecure_skip_verify: %t}
  kubernetes_sd_configs: [{role: endpointslice, namespaces: {names: [%s]}}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_endpoint_port_name], regex: %s, action: keep}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_service_name], target_label: service}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
  - {source_labels: [__meta_kubernetes_service_name], target_label: job}
  - {target_label: endpoint, replacement: %s}
`, monitor.Namespace, monitor.Name, endpoint.HonorLabels, *endpoint.Scheme,
		*endpoint.TLSConfig.InsecureSkipVerify, monitor.Namespace, endpoint.Port, endpoint.Port))
}

// byHand is the scrape that docs/metrics.md shows.
func byHand(t *testing.T) *config.Config {
	t.Helper()
	_, block, found := strings.Cut(string(read(t, "docs/metrics.md")), "```yml\nscrape_configs:\n")
	if !found {
		t.Fatal("docs/metrics.md shows no scrape_configs")
	}
	block, _, _ = strings.Cut(block, "```")
	return load(t, "scrape_configs:\n"+block)
}

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	loaded, err := config.Load(text, promslog.NewNopLogger())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return loaded
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(operator.Root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
