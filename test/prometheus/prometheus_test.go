// Package prometheus tests that a Prometheus which scrapes Weir as config and
// docs say sees the alerts that Weir renders fire.
package prometheus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
	"github.com/weir-dev/weir/test/env/operator"
)

func TestMain(m *testing.M) { env.Main(m) }

// A group that is behind fires its alert, through the ServiceMonitor that is
// shipped and through the scrape that docs/metrics.md writes by hand. What the
// Prometheus operator attaches to targets must not hide the group's namespace.
func TestAlertFires(t *testing.T) {
	t.Parallel()
	cluster := kube.Shared(t)
	if err := cluster.InstallPrometheusRules(); err != nil {
		t.Fatal(err)
	}
	namespace := cluster.Namespace(t)
	address := operator.Start(t, cluster, namespace)
	group := lagging(t, cluster, namespace)
	rule := renderedRule(t, cluster, namespace, group)
	token := reader(t, cluster, namespace)

	for name, scraped := range map[string]func(*testing.T) *config.Config{
		"ServiceMonitor": serviceMonitor,
		"by hand":        byHand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prometheus := start(t, withAccess(scraped(t), token), target(address), rule)
			want := map[string]string{
				labels.AlertName: "WeirConsumerGroupLagging", "namespace": namespace, "name": group, "severity": "warning",
			}
			env.Await(t, func() string {
				for _, alert := range prometheus.fired() {
					if has(alert.Labels, want) {
						return ""
					}
				}
				return fmt.Sprintf("no alert with %v fires; got %v", want, prometheus.fired())
			})
		})
	}
}

func has(set labels.Labels, want map[string]string) bool {
	for name, value := range want {
		if set.Get(name) != value {
			return false
		}
	}
	return true
}

// target is how Kubernetes' service discovery shows the manager.
func target(address string) *targetgroup.Group {
	const label = model.LabelName("__meta_kubernetes_")
	return &targetgroup.Group{Source: "weir", Targets: []model.LabelSet{{
		model.AddressLabel:                              model.LabelValue(address),
		label + "namespace":                             "weir-system",
		label + "service_name":                          "weir-manager-metrics",
		label + "pod_name":                              "weir-manager-1",
		label + "pod_container_name":                    "manager",
		label + "pod_container_port_name":               "metrics",
		label + "endpoint_port_name":                    "metrics",
		label + "pod_label_app_kubernetes_io_name":      "weir",
		label + "pod_label_app_kubernetes_io_component": "manager",
	}}}
}

// withAccess lets the scrape in, soon and often.
func withAccess(c *config.Config, token string) *config.Config {
	scraped := c.ScrapeConfigs[0]
	scraped.HTTPClientConfig.Authorization.CredentialsFile = token
	scraped.ScrapeInterval, scraped.ScrapeTimeout = model.Duration(200*time.Millisecond), model.Duration(200*time.Millisecond)
	return c
}

// server is a Prometheus without its web pages.
type server struct {
	mu     sync.Mutex
	alerts []*rules.Alert
}

func (s *server) fired() []*rules.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alerts
}

func start(t *testing.T, scraped *config.Config, found *targetgroup.Group, ruleFile string) *server {
	t.Helper()
	logger := promslog.NewNopLogger()
	db, err := tsdb.Open(t.TempDir(), logger, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	scrapes, err := scrape.NewManager(nil, logger, nil, nil, db, client.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := scrapes.ApplyConfig(scraped); err != nil {
		t.Fatal(err)
	}
	targets := make(chan map[string][]*targetgroup.Group, 1)
	targets <- map[string][]*targetgroup.Group{scraped.ScrapeConfigs[0].JobName: {found}}

	s := &server{}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{}),
	})
	evaluation := rules.NewManager(&rules.ManagerOptions{
		Context: context.WithoutCancel(t.Context()), Logger: logger,
		AppendableV2: db, Queryable: db, QueryFunc: rules.EngineQueryFunc(engine, db),
		NotifyFunc: func(_ context.Context, _ string, alerts ...*rules.Alert) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.alerts = append(s.alerts, alerts...)
		},
	})
	if err := evaluation.Update(200*time.Millisecond, []string{ruleFile}, labels.EmptyLabels(), "", nil); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = scrapes.Run(targets) }) // ends with Stop, and never by an error
	running.Go(evaluation.Run)
	t.Cleanup(func() {
		evaluation.Stop()
		scrapes.Stop()
		running.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reader writes the token of a service account that may read metrics, by the
// role that is shipped, into a file.
func reader(t *testing.T, cluster *kube.Cluster, namespace string) string {
	t.Helper()
	kubectl := func(args ...string) string {
		t.Helper()
		output, err := cluster.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(output)
	}
	kubectl("apply", "-f", filepath.Join(operator.Root(t), "config", "rbac", "metrics_reader.yaml"))
	kubectl("create", "serviceaccount", "prometheus", "--namespace="+namespace)
	kubectl("create", "clusterrolebinding", namespace, "--clusterrole=weir-metrics-reader", "--serviceaccount="+namespace+":prometheus")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(kubectl("create", "token", "prometheus", "--namespace="+namespace)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
