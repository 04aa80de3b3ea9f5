package relay

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the engine's. Engines of one worker share them.
type Metrics struct {
	published     prometheus.Counter
	settled       prometheus.Counter
	failures      *prometheus.CounterVec
	batchSeconds  prometheus.Histogram
	settleSeconds prometheus.Histogram
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
