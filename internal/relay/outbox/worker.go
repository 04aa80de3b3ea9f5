// Package outbox is the worker behind `relay outbox`: it connects an outbox
// table, the engine and Kafka, keeps them going through every outage, and
// tells how it goes.
//
//	run: ─▶ connect, preflight ─▶ wait for the lock ─▶ engine ─▶ release ─┐
//	      ▲            (Starting)           (Standby)  (Active)           │
//	      └───────────────────── pause, say why (Failing) ◀───────────────┘
//
// A session of that loop owns one database session and one Kafka client. They
// end together: without the lock nothing may be produced.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/httpserver"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/internal/relay/postgres"
	"github.com/weir-dev/weir/internal/relay/row"
)

// lockInterval is how often a standby tries to take the lock: the longest
// pause of a failover after the active relay is gone.
const lockInterval = 250 * time.Millisecond

// routesInterval is how often the topic of a route is looked for that is not there.
const routesInterval = 2 * time.Second

// steady is how long a session lasts that is not part of a run of failures.
const steady = 10 * time.Second

// Run works until ctx ends, and then returns nil once everything acknowledged
// is settled and the lock is released. It returns an error at once if it
// cannot read its configuration or listen; whatever else is wrong is told at
// /state and /readyz, and tried again.
func Run(ctx context.Context, o relay.Options) error {
	outbox, err := load(o.Dir)
	if err != nil {
		return err
	}
	w := newWorker(o.Dir, outbox, o.Log.With("relay", outbox.Name))
	server, err := httpserver.Listen(ctx, o.Listen, httpserver.Endpoints{
		Ready:   w.health.Ready,
		State:   func() any { return w.state() },
		Metrics: w.registry,
	})
	if err != nil {
		return err
	}
	w.log.Info("started", "listen", server.Addr().String(), "table", outbox.Table)
	w.run(ctx)
	w.log.Info("stopped")
	return server.Close()
}

type worker struct {
	dir     string
	outbox  config.Outbox
	log     *slog.Logger
	health  *relay.Health
	gauges  *gauges
	metrics *relay.Metrics

	registry *prometheus.Registry
	// table is what passed preflight last, nil before the first has.
	table atomic.Pointer[postgres.Table]
	// routes is what is the matter with a topic that rows are routed to; nil where
	// nothing is known to be.
	routes atomic.Pointer[relay.Problem]
	// failures are those of sessions and producers in a row, and the last that was
	// logged; run's goroutine only.
	failures struct {
		relay.Backoff
		relay.News
	}
	// memory is what is known of the outbox beyond a session; run's goroutine only.
	memory postgres.Memory
}

func newWorker(dir string, outbox config.Outbox, log *slog.Logger) *worker {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &worker{
		dir:      dir,
		outbox:   outbox,
		log:      log,
		health:   relay.NewHealth(),
		gauges:   newGauges(registry),
		metrics:  relay.NewMetrics(registry),
		registry: registry,
	}
}

// run holds one session after another until ctx ends.
func (w *worker) run(ctx context.Context) {
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { w.watchBacklog(ctx) })
	for ctx.Err() == nil {
		start := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > steady {
			w.failures.Reset()
			w.failures.Over()
		}
		w.tell(relay.ProblemOf(err, "InternalError"))
		w.failures.Wait(ctx)
	}
}

// tell says why a session or a producer ended.
func (w *worker) tell(problem *relay.Problem) {
	w.health.Report(problem)
	w.metrics.Failed(problem.Reason)
	if w.failures.Is(problem.Error()) {
		w.log.Warn("cannot relay", "reason", problem.Reason, "message", problem.Message)
	}
}

// session connects, waits for the lock and publishes until ctx ends (nil) or
// something breaks.
func (w *worker) session(ctx context.Context) error {
	db, err := w.connect(ctx, time.Duration(w.outbox.Polling.MaxInterval))
	if err != nil {
		return err
	}
	defer db.Close() // last: with the session goes the lock
	table, err := db.Preflight(ctx, w.outbox)
	if err != nil {
		return err
	}
	w.table.Store(&table)
	sink, err := w.sink(ctx)
	if err != nil {
		return err
	}
	defer func() { // before the lock is free, so that nothing in flight outlives it
		if sink != nil {
			sink.Close()
		}
	}()
	if err := w.lock(ctx, db); err != nil {
		return err
	}
	w.log.Info("active", "table", table.Name)
	if table.Advice != "" {
		w.log.Warn("slow", "advice", table.Advice)
	}
	w.health.Begin(config.Active) // the engine says whether records flow
	w.gauges.active.Set(1)
	defer w.gauges.active.Set(0)
	source := postgres.NewSource(db, table, w.outbox.Polling, row.NewEncoder(w.outbox.Routes), &w.memory, postgres.Watch{
		Settled: w.metrics.Settled, Future: w.gauges.fromTheFuture,
	})
	for {
		err := w.relay(ctx, source, sink)
		if problem, ok := errors.AsType[*relay.Problem](err); !ok || !problem.Broken {
			return err
		}
		// Another producer goes on: the lock stays where it is, as long as this
		// worker reaches Kafka.
		w.tell(relay.ProblemOf(err, kafkasink.KafkaError))
		sink.Close()
		w.failures.Wait(ctx)
		if sink, err = w.sink(ctx); err != nil {
			return err
		}
	}
}

// sink is a producer of its own, for a Kafka that answers.
func (w *worker) sink(ctx context.Context) (*kafkasink.Sink, error) {
	sink, err := kafkasink.New(kafkasink.Options{
		Dir: w.dir, Kafka: w.outbox.Kafka, ClientID: "weir-relay/" + w.outbox.Name, Metrics: w.registry,
	})
	if err != nil {
		return nil, relay.ProblemOf(err, kafkasink.KafkaError)
	}
	problem, all := sink.Check(ctx, row.Topics(w.outbox.Routes))
	if all {
		sink.Close()
		return nil, problem
	}
	w.routes.Store(problem)
	return sink, nil
}

// watchRoutes looks whether the topics of all routes take records, until they do:
// nobody else would see it of one that no row is for.
func (w *worker) watchRoutes(ctx context.Context, sink *kafkasink.Sink) {
	for w.routes.Load() != nil {
		select {
		case <-time.After(routesInterval):
		case <-ctx.Done():
			return
		}
		problem, _ := sink.Check(ctx, row.Topics(w.outbox.Routes))
		if ctx.Err() == nil {
			w.routes.Store(problem)
		}
	}
}

// report tells what troubles the engine, or one of the routes.
func (w *worker) report(problem *relay.Problem) {
	if problem == nil {
		problem = w.routes.Load()
	}
	w.health.Report(problem)
}

func (w *worker) connect(ctx context.Context, longestPause time.Duration) (*postgres.Session, error) {
	return postgres.Connect(ctx, filepath.Join(w.dir, w.outbox.Database.URIFile), w.outbox.Name, longestPause)
}

// holderInterval is how often a standby looks who holds the lock.
const holderInterval = 5 * time.Second

// lock returns once this session holds the table's lock.
func (w *worker) lock(ctx context.Context, db *postgres.Session) error {
	schema, name := postgres.SplitName(w.outbox.Table)
	retry := time.NewTicker(lockInterval)
	defer retry.Stop()
	var looked time.Time
	for standby := false; ; standby = true {
		locked, err := db.TryLock(context.WithoutCancel(ctx), schema+"."+name)
		if locked && standby {
			// Whoever had the lock has published and settled what this worker owed.
			w.memory = postgres.Memory{}
		}
		if err != nil || locked {
			return err
		}
		if !standby {
			w.log.Info("standing by: another session holds the lock")
			w.health.Enter(config.Standby)
		}
		if time.Since(looked) > holderInterval {
			looked = time.Now()
			if err := w.standBy(ctx, db, schema+"."+name); err != nil {
				return err
			}
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// standBy tells whether this worker stands by for a replica of its own, or waits
// for a lock that another relay will not let go.
func (w *worker) standBy(ctx context.Context, db *postgres.Session, table string) error {
	err := db.TakenBy(context.WithoutCancel(ctx), table)
	if err == nil {
		w.health.Report(nil)
		return nil
	}
	problem := relay.ProblemOf(err, postgres.DatabaseError)
	if problem.Reason != postgres.TableTaken {
		return err
	}
	w.health.Report(problem)
	return nil
}

// relay publishes while this session holds the lock, with one producer.
func (w *worker) relay(ctx context.Context, source relay.Source, sink *kafkasink.Sink) error {
	var watch sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	watch.Go(func() { w.watchRoutes(watching, sink) })
	defer watch.Wait()
	defer stop()
	engine := relay.Engine{Source: source, Sink: sink, Report: w.report, Metrics: w.metrics, Log: w.log}
	if err := engine.Run(ctx); err != nil {
		return fmt.Errorf("relaying: %w", err)
	}
	return nil
}
