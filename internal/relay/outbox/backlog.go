package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
}

func newGauges(registry prometheus.Registerer) *gauges {
	g := &gauges{
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_relay_active",
			Help: "1 while this worker holds the outbox's lock, 0 otherwise.",
		}),
	}
	registry.MustRegister(g.active,
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

func (g *gauges) forget() {
	g.pendingRows.set(unknown)
	g.oldestSeconds.set(unknown)
}

// watchBacklog counts what waits, on a connection of its own, until ctx ends:
// from the first preflight that passes, also while Kafka is away, but not in a
// standby, whose active relay does. A count that fails is unknown, and no
// reason to stop publishing.
func (w *worker) watchBacklog(ctx context.Context) {
	var db *postgres.Session
	disconnect := func() {
		if db != nil {
			db.Close()
			db = nil
		}
	}
	defer disconnect()
	told := ""
	for ctx.Err() == nil {
		pause := lockInterval
		if table := w.table.Load(); table == nil || w.standsBy() {
			w.gauges.forget()
			disconnect() // the server ends a session that is silent for long
		} else {
			start := time.Now()
			err := w.countBacklog(ctx, &db, *table)
			pause = postgres.BacklogPause(time.Since(start))
			switch {
			case err == nil:
				told = ""
			case ctx.Err() == nil:
				w.gauges.forget()
				if told != err.Error() {
					told = err.Error()
					w.log.Warn("cannot count pending rows", "err", err)
				}
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (w *worker) standsBy() bool {
	phase, _ := w.health.State()
	return phase == config.Standby
}

// countBacklog connects if it must, and drops a connection that fails.
func (w *worker) countBacklog(ctx context.Context, db **postgres.Session, table postgres.Table) (err error) {
	if *db == nil {
		if *db, err = w.connect(ctx, postgres.MaxBacklogPause); err != nil {
			return err
		}
	}
	backlog, err := (*db).Backlog(ctx, table)
	if err != nil {
		(*db).Close()
		*db = nil
		return err
	}
	w.gauges.set(backlog)
	return nil
}
