package harness

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// StartFake is a cluster of this test's own, to be broken as a whole.
func StartFake(t *testing.T) *env.Kafka {
	t.Helper()
	own, err := env.StartFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return own
}

var sharedManager env.Shared[*runningManager]

// runningManager is a manager that has a cache and runs no controllers.
type runningManager struct {
	manager.Manager
	stop func() error
}

func (m *runningManager) Close() error { return m.stop() }

func startManager(t *testing.T, control *kube.Cluster) manager.Manager {
	return sharedManager.Get(t, func(context.Context) (*runningManager, error) {
		if err := control.InstallPrometheusRules(); err != nil {
			return nil, err
		}
		mgr, err := manager.New(control.Config, manager.Options{
			Scheme: controller.NewScheme(), Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		if err := controller.AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
			cancel()
			return nil, err
		}
		done := make(chan error, 1)
		go func() { done <- mgr.Start(ctx) }()
		mgr.GetCache().WaitForCacheSync(ctx)
		return &runningManager{Manager: mgr, stop: func() error { cancel(); return <-done }}, nil
	})
}
