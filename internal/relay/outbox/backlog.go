package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/postgres"
)

// unknown is what the gauges and the state say of a number nobody has counted.
const unknown = -1

// gauges are what the worker knows of its outbox beyond the engine's metrics.
type gauges struct {
	active        prometheus.Gauge
	pendingRows   gauge
	oldestSeconds gauge
	future        prometheus.Counter
}

func newGauges(registry prometheus.Registerer) *gauges {
	g := &gauges{
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_relay_active",
			Help: "1 while this worker holds the outbox's lock, 0 otherwise.",
		}),
		future: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_relay_future_rows_total",
			Help: "Rows read whose created column lies in the future; their records carry the time of reading.",
		}),
	}
	registry.MustRegister(g.active, g.future,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_relay_pending_rows",
			Help: "Rows of the outbox that are not settled; -1 while unknown. Not known to a standby.",
		}, g.pendingRows.get),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_relay_oldest_pending_seconds",
			Help: "Age of the oldest pending row by the database's clock; -1 while unknown.",
		}, g.oldestSeconds.get),
	)
	g.forget()
	return g
}

func (g *gauges) set(b postgres.Backlog) {
	g.pendingRows.set(float64(b.Rows))
	g.oldestSeconds.set(b.OldestSeconds)
}

func (g *gauges) fromTheFuture(rows int) { g.future.Add(float64(rows)) }

func (g *gauges) forget() {
	g.pendingRows.set(unknown)
	g.oldestSeconds.set(unknown)
}

// watchBacklog counts what waits, on a connection of its own, until ctx ends:
// from the first preflight that passes, also while Kafka is away, but not in a
// standby, whose active relay does. A count that fails is unknown, and no
// reason to stop publishing.
func (w *worker) watchBacklog(ctx context.Context) {
	c := counter{worker: w}
	defer c.disconnect()
	for ctx.Err() == nil {
		select {
		case <-time.After(c.look(ctx)):
		case <-ctx.Done():
		}
	}
}

// counter is the connection that counts.
type counter struct {
	*worker
	db   *postgres.Session // nil while there is none
	news relay.News
}

// look counts where this worker is to count, and returns how long to pause.
func (c *counter) look(ctx context.Context) time.Duration {
	table := c.table.Load()
	if phase, _ := c.health.State(); table == nil || phase == config.Standby {
		c.gauges.forget()
		c.disconnect() // the server ends a session that is silent for long
		return lockInterval
	}
	start := time.Now()
	err := c.count(ctx, *table)
	switch {
	case err == nil:
		c.news.Over()
	case ctx.Err() == nil:
		c.gauges.forget()
		if c.news.Is(err.Error()) {
			c.log.Warn("cannot count pending rows", "err", err)
		}
	}
	return postgres.BacklogPause(time.Since(start))
}

// count connects if it must, and drops a connection that fails.
func (c *counter) count(ctx context.Context, table postgres.Table) (err error) {
	if c.db == nil {
		if c.db, err = c.connect(ctx, postgres.MaxBacklogPause); err != nil {
			return err
		}
	}
	backlog, err := c.db.Backlog(ctx, table)
	if err != nil {
		c.disconnect()
		return err
	}
	c.gauges.set(backlog)
	return nil
}

func (c *counter) disconnect() {
	if c.db != nil {
		c.db.Close()
		c.db = nil
	}
}
