package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/httpserver"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
)

// reloadInterval is how soon a change of the file takes effect.
const reloadInterval = time.Second

// fileInvalid: the file cannot be read or used; the last good one is in effect.
const fileInvalid = "ConfigurationInvalid"

// Run works until ctx ends, and then returns nil once everything acknowledged
// is committed and the consumer group is left. It returns an error at once if
// it cannot read its configuration or listen; whatever else is wrong is told
// at /state and /readyz, and tried again.
func Run(ctx context.Context, o relay.Options) error {
	w, err := newWorker(o)
	if err != nil {
		return err
	}
	server, err := httpserver.Listen(ctx, o.Listen, httpserver.Endpoints{
		Ready:   w.health.Ready,
		State:   func() any { return w.state() },
		Metrics: w.registry,
	})
	if err != nil {
		return err
	}
	w.log.Info("started", "listen", server.Addr().String(), "groups", len(w.current().Groups))
	w.run(ctx)
	w.log.Info("stopped")
	return server.Close()
}

type worker struct {
	dir      string
	log      *slog.Logger
	health   *relay.Health
	problems *problems
	metrics  *metrics
	engine   *relay.Metrics
	registry *prometheus.Registry

	// text is what the file held when it was read last; the worker's goroutine only.
	text []byte
	// retry is the last good content of the file.
	retry atomic.Pointer[config.Retry]
}

func newWorker(o relay.Options) (*worker, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w := &worker{
		dir:      o.Dir,
		log:      o.Log,
		health:   relay.NewHealth(),
		metrics:  newMetrics(registry),
		engine:   relay.NewMetrics(registry),
		registry: registry,
	}
	w.problems = newProblems(w.health, w.metrics)
	if err := w.reload(); err != nil {
		return nil, err
	}
	w.log = w.log.With("cluster", w.current().Name)
	return w, nil
}

// current is the configuration in effect.
func (w *worker) current() *config.Retry { return w.retry.Load() }

// reload reads the file and puts it into effect if it changed and is good.
func (w *worker) reload() error {
	text, err := os.ReadFile(filepath.Join(w.dir, config.RetryFile))
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if w.current() != nil && bytes.Equal(text, w.text) {
		return nil
	}
	r, err := parse(text)
	if err != nil {
		return err
	}
	w.text = text
	w.retry.Store(r)
	return nil
}

// follow reloads the file and tells what is wrong with it.
func (w *worker) follow() {
	err := w.reload()
	if err == nil {
		w.problems.report(partFile, nil)
		return
	}
	w.log.Warn("the configuration stays as it was", "err", err)
	w.problems.report(partFile, &relay.Problem{Reason: fileInvalid, Message: err.Error(), Err: err})
}

// state is what the operator reads.
func (w *worker) state() config.RetryState {
	phase, problem := w.health.State()
	r := w.current()
	groups := make([]string, 0, len(r.Groups))
	for _, g := range r.Groups {
		groups = append(groups, g.Group)
	}
	return config.RetryState{Name: r.Name, Phase: phase, Problem: problem, Groups: groups, Moved: w.metrics.counts()}
}

// run holds one session after another until ctx ends.
func (w *worker) run(ctx context.Context) {
	var backoff relay.Backoff
	for ctx.Err() == nil {
		err := w.session(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			backoff.Reset()
		default:
			problem := relay.ProblemOf(err, kafkasink.KafkaError)
			w.log.Warn("cannot move records", "reason", problem.Reason, "message", problem.Message)
			w.problems.report(partSession, problem)
			backoff.Wait(ctx)
			w.follow()
		}
	}
}

// session moves records by the configuration in effect until ctx ends, or
// until it changes beyond what a session can follow; both are nil.
func (w *worker) session(ctx context.Context) error {
	r := w.current()
	if len(r.Groups) == 0 {
		w.idle(ctx)
		return nil
	}
	w.problems.enter(config.Starting)
	sink, connect, err := w.connect(r)
	if err != nil {
		return err
	}
	defer sink.Close()
	if problem := sink.Check(ctx, nil); problem != nil {
		return problem
	}
	for _, g := range r.Groups {
		// For the sizes that the topics allow, which the sink learns on the way
		// and must know before it produces. What keeps the worker from one
		// group's topics is the checker's to tell, and must not hold the others.
		_ = sink.Check(ctx, written(g))
	}
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	s, err := newSession(w, r, sink, connect, end)
	if err != nil {
		return err
	}
	w.problems.report(partSession, nil)
	var parts sync.WaitGroup
	parts.Go(func() { s.run(running) })
	parts.Go(func() {
		checker := checker{client: s.client, sink: sink, ids: map[string][16]byte{}, renewed: end}
		checker.watch(running, w.current, w.problems, w.log)
	})
	w.steer(running, s, r)
	end(nil)
	parts.Wait()
	w.problems.report(partCluster, nil)
	if cause := context.Cause(running); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// connect makes the producer of a session, and the options of its consumer.
func (w *worker) connect(r *config.Retry) (sink, []kgo.Opt, error) {
	clientID := "weir-retry/" + r.Name
	connect, err := relay.ConnectOptions(w.dir, r.Kafka, clientID)
	if err != nil {
		return sink{}, nil, err
	}
	producer, err := kafkasink.New(kafkasink.Options{Dir: w.dir, Kafka: r.Kafka, ClientID: clientID, Metrics: w.registry})
	return sink{Sink: producer, dir: w.dir, r: r}, connect, err
}

// steer follows the file while the session runs, and returns when it must end.
func (w *worker) steer(running context.Context, s *session, r *config.Retry) {
	for w.pause(running) {
		now := w.current()
		if now == r {
			continue
		}
		if !sameCluster(now, r) || !s.setSteps(steps(now.Groups)) {
			w.log.Info("the configuration needs a new session")
			return
		}
		w.log.Info("the configuration changed", "groups", len(now.Groups))
		r = now
	}
}

// idle waits for a group.
func (w *worker) idle(ctx context.Context) {
	w.problems.enter(config.Active)
	for len(w.current().Groups) == 0 && w.pause(ctx) {
	}
}

// pause waits for a second and then follows the file; false where ctx ended.
func (w *worker) pause(ctx context.Context) bool {
	select {
	case <-time.After(reloadInterval):
		w.follow()
		return true
	case <-ctx.Done():
		return false
	}
}
