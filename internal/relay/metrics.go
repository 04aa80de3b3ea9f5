package relay

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the engine's. Engines of one worker share them.
type Metrics struct {
	published     prometheus.Counter
	settled       prometheus.Counter
	failures      *prometheus.CounterVec
	batchSeconds  prometheus.Histogram
	settleSeconds prometheus.Histogram

	mu            sync.Mutex
	count         int64
	lastPublished time.Time
}

// NewMetrics registers the engine's metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_relay_published_records_total",
			Help: "Records that the brokers acknowledged.",
		}),
		settled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_relay_settled_rows_total",
			Help: "Rows (or source records) that were settled after their record was acknowledged.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_relay_failures_total",
			Help: "Times that records had to wait, by reason.",
		}, []string{"reason"}),
		batchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_relay_publish_duration_seconds",
			Help:    "Time from producing a batch to its last acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		settleSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_relay_settle_duration_seconds",
			Help:    "Time to settle a batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	registry.MustRegister(m.published, m.settled, m.failures, m.batchSeconds, m.settleSeconds)
	return m
}

// Published returns how many records were acknowledged since the start, and
// when the last one was; zero before the first.
func (m *Metrics) Published() (count int64, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count, m.lastPublished
}

// Failed counts a failure, also one that is not the engine's.
func (m *Metrics) Failed(reason string) { m.failures.WithLabelValues(reason).Inc() }

func (m *Metrics) acknowledged(n int, took time.Duration) {
	m.batchSeconds.Observe(took.Seconds())
	if n == 0 {
		return
	}
	m.published.Add(float64(n))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count += int64(n)
	m.lastPublished = time.Now().UTC()
}

// Settled counts records that a source has settled.
func (m *Metrics) Settled(n int, took time.Duration) {
	m.settled.Add(float64(n))
	m.settleSeconds.Observe(took.Seconds())
}
