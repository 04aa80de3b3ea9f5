package retry

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the worker's, beside those of the engine. They are safe for
// concurrent use.
type metrics struct {
	movedTotal *prometheus.CounterVec
	lateness   prometheus.Histogram
	failures   *prometheus.CounterVec

	mu sync.Mutex
	to map[string]int64
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		movedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_retry_moved_records_total",
			Help: "Records moved and acknowledged, by consumer group and where they went: wait, retry or dlt.",
		}, []string{"group", "to"}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_retry_lateness_seconds",
			Help:    "Time from when a record was due to when it could be read from the retry topic.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20),
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_retry_failures_total",
			Help: "Times that something kept records from moving, by reason.",
		}, []string{"reason"}),
		to: map[string]int64{toWait: 0, toRetry: 0, toDLT: 0},
	}
	registry.MustRegister(m.movedTotal, m.lateness, m.failures)
	return m
}

func (m *metrics) moved(group, to string) {
	m.movedTotal.WithLabelValues(group, to).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.to[to]++
}

// counts are the records moved since the start, by destination.
func (m *metrics) counts() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.to)
}
