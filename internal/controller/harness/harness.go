// Package harness is what the tests of all kinds stand on: an operator whose
// passes a test makes one at a time, against a real API server and Kafka. It is
// for tests only.
package harness

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// Harness calls reconcilers directly, one pass at a time, against a real API
// server and Kafka. After every pass it checks that the conditions conform.
type Harness struct {
	*testing.T
	// Running is the operator; its reconcilers are called by Pass.
	Running   *controller.Operator
	stop      func()
	Kafka     *env.Kafka
	Namespace string // the team's
	Operator  string // the operator's
	API       *Tap
	Events    *Recorder
	Parts     controller.Parts
	Live      client.Client // neither cached nor tapped
	clusters  []*v1alpha1.KafkaCluster
	// Deposed: another process holds the lease, so that the operator has to end
	// when it meets what that one has written. Ended says that it was told to.
	Deposed, Ended *atomic.Bool
}

// New has a namespace for a team and one for the operator of its own,
// on the shared Kafka.
func New(t *testing.T) *Harness {
	t.Helper()
	return NewOn(t, env.SharedKafka(t))
}

// NewOn is New on another Kafka.
func NewOn(t *testing.T, on *env.Kafka) *Harness {
	t.Helper()
	control := kube.Shared(t)
	h := &Harness{
		T: t, Kafka: on, Namespace: control.Namespace(t), Operator: control.Namespace(t),
		API: new(Tap), Events: new(Recorder), Deposed: new(atomic.Bool), Ended: new(atomic.Bool),
	}
	shared := startManager(t, control)
	// A client of this test's own, so that its writes can be counted and broken.
	config := rest.CopyConfig(control.Config)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return tapped{next, h.API} })
	mine, err := client.New(config, client.Options{
		Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper(),
		Cache: &client.CacheOptions{Reader: shared.GetCache()},
	})
	h.Must(err)
	h.Live, err = client.New(control.Config, client.Options{Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper()})
	h.Must(err)
	served, err := discovery.NewDiscoveryClientForConfig(control.Config)
	h.Must(err)
	direct, err := client.New(config, client.Options{Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper()})
	h.Must(err)
	h.Parts = controller.Parts{Client: mine, Direct: direct, Events: h.Events, Served: served.ServerResourcesForGroupVersion}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// start starts an operator that knows nothing but what the API server and
// Kafka tell it.
func (h *Harness) start() {
	h.Running = controller.New(h.Parts, controller.Options{
		Namespace: h.Operator, Image: "weir:test", Resync: time.Minute,
		LagInterval: 100 * time.Millisecond, StatusInterval: time.Nanosecond, PollInterval: time.Second,
		Leads: func(context.Context) (bool, error) { return !h.Deposed.Load(), nil },
		Fatal: func(err error) {
			if h.Ended.Store(true); !h.Deposed.Load() {
				h.Errorf("the operator was to end: %v", err)
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	collectors := h.Running.Collectors
	group.Go(func() { _ = collectors.Start(ctx) })
	running := h.Running
	h.stop = func() { cancel(); group.Wait(); running.Close() }
}

// Restart ends the operator, as a crash does between two passes or in the
// middle of one that failed, and starts another one, which looks at the
// KafkaClusters first. Meanwhile is what happens while none runs.
func (h *Harness) Restart(meanwhile ...func()) {
	h.Helper()
	h.stop()
	for _, do := range meanwhile {
		do()
	}
	h.start()
	for _, cluster := range h.clusters {
		_, _ = h.Pass(cluster) // its conditions say more
	}
}

// Must ends the test where err is one.
func (h *Harness) Must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// Await polls until look returns "".
func (h *Harness) Await(look func() string) {
	h.Helper()
	env.Await(h.T, look)
}
