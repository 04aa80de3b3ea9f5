package retry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
	w.log.Info("started", "listen", server.Addr().String(), "groups", len(w.current().groups))
	w.run(ctx)
	w.log.Info("stopped")
	return server.Close()
}

type worker struct {
	dir      string
	log      *slog.Logger
	health   *relay.Health
	problems *problems
	groups   *groupProblems
	metrics  *metrics
	engine   *relay.Metrics
	registry *prometheus.Registry

	// files are the last good content of the directory.
	files atomic.Pointer[files]
	// waiting is how many records of a group that is drained are left, by group ID.
	waiting atomic.Pointer[map[string]int64]
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
	w.groups = &groupProblems{metrics: w.metrics, byGroup: map[string]*problems{}}
	w.waiting.Store(&map[string]int64{})
	if err := w.reload(); err != nil {
		return nil, err
	}
	w.log = w.log.With("cluster", w.current().Name)
	return w, nil
}

// current is the configuration in effect.
func (w *worker) current() *files { return w.files.Load() }

// reload reads the files and puts them into effect if they changed and are good.
func (w *worker) reload() error {
	last := w.current()
	read, err := readFiles(w.dir, last)
	if err != nil || read == last {
		return err
	}
	for name, file := range read.groups {
		if file.err != nil && (last == nil || last.groups[name] != file) {
			w.log.Warn("a group's configuration cannot be used", "file", name, "err", file.err)
		}
	}
	w.files.Store(read)
	w.groups.keep(read.effective())
	return nil
}

// follow reloads the files and tells what is wrong with them.
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
	f, waiting := w.current(), *w.waiting.Load()
	groups := make(map[string]config.GroupState, len(f.groups))
	for name, file := range f.groups {
		groups[name] = w.groupState(file, waiting)
	}
	return config.RetryState{Name: f.Name, Phase: phase, Problem: problem, Groups: groups, Moved: w.metrics.counts()}
}

func (w *worker) groupState(file groupFile, waiting map[string]int64) config.GroupState {
	state := config.GroupState{Digest: file.digest}
	if file.group != nil {
		state.Group = file.group.Group
		_, state.Problem = w.groups.of(state.Group).health.State()
		if left, counted := waiting[state.Group]; counted && file.group.Draining != "" {
			state.Waiting = &left
		}
	}
	if file.err != nil {
		state.Problem = &config.Problem{Reason: fileInvalid, Message: file.err.Error(), Since: file.read}
	}
	return state
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
	f := w.current()
	if len(f.effective()) == 0 {
		w.idle(ctx)
		return nil
	}
	w.problems.enter(config.Starting)
	sink, connect, err := w.connect(&f.Retry)
	if err != nil {
		return err
	}
	defer sink.Close()
	if problem, _ := sink.Check(ctx, nil); problem != nil {
		return problem
	}
	// The sizes that the topics allow must be known before it produces.
	sink.Learn(ctx, written(f.effective()))
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	s, err := newSession(w, f, sink, sink.explainGroup, connect, end)
	if err != nil {
		return err
	}
	w.problems.report(partSession, nil)
	var parts sync.WaitGroup
	parts.Go(func() { s.run(running) })
	parts.Go(func() {
		checker := checker{client: s.client, sink: sink, ids: map[string][16]byte{}, renewed: end}
		checker.watch(running, w)
	})
	w.steer(running, s, sink, f)
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
	producer, err := kafkasink.New(kafkasink.Options{Dir: w.dir, Kafka: r.Kafka, ClientID: clientID, Shared: true, Metrics: w.registry})
	return sink{Sink: producer, dir: w.dir, r: r}, connect, err
}

// steer follows the files while the session runs, and returns when it must end.
func (w *worker) steer(running context.Context, s *session, sink sink, f *files) {
	for w.pause(running) {
		now := w.current()
		if now == f {
			continue
		}
		groups := now.effective()
		if !now.sameCluster(f) || len(groups) == 0 {
			w.log.Info("the configuration needs a new session")
			return
		}
		w.log.Info("the configuration changed", "groups", len(groups))
		sink.Learn(running, written(added(f, groups)))
		s.setSteps(running, steps(groups))
		f = now
	}
}

// added are the groups that were not there before, or had fewer topics.
func added(before *files, groups []config.RetryGroup) []config.RetryGroup {
	return slices.DeleteFunc(slices.Clone(groups), func(g config.RetryGroup) bool {
		was := before.groups[config.GroupFile(g.Group)].group
		return was != nil && was.Waits >= g.Waits
	})
}

// idle waits for a group.
func (w *worker) idle(ctx context.Context) {
	w.problems.enter(config.Active)
	for len(w.current().effective()) == 0 && w.pause(ctx) {
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
