package kafkacluster

import (
	"testing"
	"time"

	"github.com/weir-dev/weir/internal/controller/harness/golden"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

func goldenRetryWorker(t *testing.T) worker.Spec {
	t.Helper()
	groups := []config.RetryGroup{{
		Name: "finance/billing", Group: "billing", Waits: 2, MaxAttempts: 3, Delays: []config.Duration{config.Duration(time.Second), config.Duration(time.Minute)},
		JitterPercent: 20, MaxElapsed: config.Duration(time.Hour), PermanentErrors: []string{"*SchemaException"},
	}}
	rendered, err := renderRetryWorker(golden.Cluster(), "cluster-id", groups, "retry-kafka", []string{"username", "password"}, "", "weir-system", "weir:1")
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func TestRenderRetryWorker(t *testing.T) {
	t.Parallel()
	w := goldenRetryWorker(t)
	golden.Compare(t, "retryworker", w.ConfigMaps()[0], w.Deployment())
}
