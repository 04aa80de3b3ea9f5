package controller

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// harness calls reconcilers directly, one pass at a time, against a real API
// server and Kafka. After every pass it checks that the conditions conform.
type harness struct {
	*testing.T
	set       *set
	stop      func()
	kafka     *env.Kafka
	namespace string // the team's
	operator  string // the operator's
	api       *tap
	events    *recorder
	parts     parts
	live      client.Client // neither cached nor tapped
}

// newHarness has a namespace for a team and one for the operator of its own,
// on the shared Kafka.
func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessOn(t, env.SharedKafka(t))
}

func newHarnessOn(t *testing.T, on *env.Kafka) *harness {
	t.Helper()
	control := kube.Shared(t)
	h := &harness{
		T: t, kafka: on, namespace: control.Namespace(t), operator: control.Namespace(t),
		api: new(tap), events: new(recorder),
	}
	shared := startManager(t, control)
	// A client of this test's own, so that its writes can be counted and broken.
	config := rest.CopyConfig(control.Config)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return tapped{next, h.api} })
	mine, err := client.New(config, client.Options{
		Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper(),
		Cache: &client.CacheOptions{Reader: shared.GetCache()},
	})
	h.must(err)
	h.live, err = client.New(control.Config, client.Options{Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper()})
	h.must(err)
	h.parts = parts{client: mine, live: h.live, events: h.events, mapper: shared.GetRESTMapper()}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// start starts an operator that knows nothing but what the API server and
// Kafka tell it.
func (h *harness) start() {
	h.set = newSet(h.parts, Options{
		Namespace: h.operator, Image: "weir:test", Resync: time.Minute,
		LagInterval: 100 * time.Millisecond, StatusInterval: time.Nanosecond, PollInterval: time.Second,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	collectors := h.set.collectors
	group.Go(func() { _ = collectors.Start(ctx) })
	clusters := h.set.clusters
	h.stop = func() { cancel(); group.Wait(); clusters.Close() }
}

// restart ends the operator, as a crash does between two passes or in the
// middle of one that failed, and starts another one.
func (h *harness) restart() {
	h.stop()
	h.start()
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// await polls until look returns "".
func (h *harness) await(look func() string) {
	h.Helper()
	env.Await(h.T, look)
}
