package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// keepInterval is how often the source is asked whether its session lives
	// while records are in flight.
	keepInterval = time.Second
	// stallAfter is how long nothing may be acknowledged before the engine
	// finds out why and says so.
	stallAfter = 2 * time.Second
	// DrainTimeout is how long a stopping engine waits for acknowledgements.
	DrainTimeout = 5 * time.Second
	// SettleTimeout bounds one Settle, also while stopping.
	SettleTimeout = 10 * time.Second
)

// Engine publishes what a source holds, one batch at a time. A sink may serve
// many engines; a source serves one.
type Engine struct {
	Source Source
	Sink   Sink
	// Report is told what troubles the engine, and nil when nothing does.
	// Typically Health.Report. It is called often, also without a change.
	Report  func(*Problem)
	Metrics *Metrics
	Log     *slog.Logger

	backoff Backoff
	// oneByOne counts the records still to be produced alone, after a batch
	// was refused as too large: the batch is innocent, one of its records may not be.
	oneByOne int
	news     News // the problem that was logged last
}

// Run publishes until ctx ends, and then returns nil after what was
// acknowledged has been settled. It returns an error when the source lost its
// session or the sink is broken; records may then still be in flight, and
// closing the sink gives them up.
func (e *Engine) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		items, err := e.Source.Next(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("reading the next batch: %w", err)
		case len(items) == 0:
			e.resume()
			continue
		}
		problem, err := e.relay(ctx, items)
		if err != nil {
			return err
		}
		if problem == nil {
			e.resume()
			continue
		}
		if problem.Broken {
			return problem
		}
		e.tell(problem)
		e.backoff.Wait(ctx)
	}
	return nil
}

// resume notes that there is progress, or nothing to do.
func (e *Engine) resume() {
	e.Report(nil)
	e.backoff.Reset()
	if e.news.Over() {
		e.Log.Info("records flow again")
	}
}

// tell reports why records wait, and logs it unless that is known.
func (e *Engine) tell(problem *Problem) {
	e.Metrics.Failed(problem.Reason)
	e.Report(problem)
	if e.news.Is(problem.Error()) {
		e.Log.Warn("records wait", "reason", problem.Reason, "message", problem.Message)
	}
}

// relay publishes the items before the first poison, settles what was
// acknowledged, and returns why the others wait.
func (e *Engine) relay(ctx context.Context, items []Item) (*Problem, error) {
	sound, poison := e.sound(items)
	n, failed, err := e.publish(ctx, items[:sound])
	if err != nil {
		return nil, err
	}
	if n > 0 {
		if err := e.settle(ctx, n); err != nil {
			return nil, err
		}
	}
	switch {
	case n == len(items):
		return nil, nil
	case n == sound:
		return e.block(ctx, n, poison), nil
	case failed == nil:
		return nil, nil // stopping, and not acknowledged in time
	case !e.Sink.TooLarge(failed.err):
		return e.Sink.Explain(failed.record, failed.err), nil
	case e.oneByOne > 0:
		return e.block(ctx, n, failed.err), nil
	default:
		e.oneByOne = sound - n
		return nil, nil
	}
}

// sound returns how many items, from the first, can be published, and why the
// next one cannot.
func (e *Engine) sound(items []Item) (n int, poison error) {
	for i, item := range items {
		poison := item.Poison
		if poison == nil {
			poison = e.Sink.Refuse(item.Record)
		}
		if poison != nil {
			return i, poison
		}
	}
	return len(items), nil
}

// failure is why a flight ended early.
type failure struct {
	record *kgo.Record
	err    error
}

// publish produces the items in order and returns how many of them, from the
// first, were acknowledged, and what failed if that is not all. The error is
// the source's: its session is lost.
func (e *Engine) publish(ctx context.Context, items []Item) (n int, failed *failure, err error) {
	for n < len(items) {
		chunk := items[n:]
		if e.oneByOne > 0 {
			chunk = chunk[:1]
		}
		acknowledged, failed, err := e.fly(ctx, chunk)
		n += acknowledged
		if err != nil || acknowledged < len(chunk) {
			return n, failed, err
		}
		e.oneByOne = max(0, e.oneByOne-acknowledged)
	}
	return n, nil, nil
}

// fly produces the items at once and waits for the verdicts.
func (e *Engine) fly(ctx context.Context, items []Item) (acknowledged int, failed *failure, err error) {
	// Not the caller's cancellation: stopping waits for what is in flight (law 4).
	flying, callOff := context.WithCancel(context.WithoutCancel(ctx))
	defer callOff()
	f := newFlight(len(items), callOff)
	start := time.Now()
	for i, item := range items {
		e.Sink.Produce(flying, item.Record, func(err error) { f.judge(i, err) })
	}
	err = e.await(ctx, f, items)
	acknowledged = f.acknowledged()
	e.Metrics.acknowledged(acknowledged, time.Since(start))
	if i, cause := f.failure(); cause != nil {
		failed = &failure{record: items[i].Record, err: cause}
	}
	return acknowledged, failed, err
}

// await returns when every record of the flight is judged, or when a stopping
// engine has waited long enough. Meanwhile it keeps the source's session, and
// tells when nothing moves.
func (e *Engine) await(ctx context.Context, f *flight, items []Item) error {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	stopping := ctx.Done()
	var drained <-chan time.Time
	answered := false
	for {
		select {
		case <-f.done:
			return nil
		case <-stopping:
			stopping = nil
			drained = time.After(DrainTimeout)
		case <-drained:
			return nil
		case <-tick.C:
			if err := e.Source.Keep(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("with records in flight: %w", err)
			}
			if n := f.acknowledged(); n < len(items) && f.idle() > stallAfter {
				answered = e.reportStall(context.WithoutCancel(ctx), items[n].Record, answered)
			}
		}
	}
}

// reportStall says why nothing is acknowledged, and whether the brokers answer
// nevertheless. Records stay in flight: the producer goes on trying, in order.
// Brokers that did not answer the last time may just be back, and are given
// until the next look.
func (e *Engine) reportStall(ctx context.Context, record *kgo.Record, answered bool) bool {
	if problem := e.Sink.Diagnose(ctx, record); problem != nil {
		e.tell(problem)
		return false
	}
	if answered {
		e.tell(&Problem{Reason: "NotAcknowledged", Message: "the brokers answer, but do not acknowledge records; " +
			"check that enough replicas of the topic are in sync (min.insync.replicas)"})
	}
	return true
}

// settle has a deadline of its own, so that what was acknowledged is settled
// while stopping too (law 4).
func (e *Engine) settle(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTimeout)
	defer cancel()
	start := time.Now()
	if err := e.Source.Settle(ctx, n); err != nil {
		return fmt.Errorf("settling %d acknowledged records: %w", n, err)
	}
	e.Metrics.settledRecords(n, time.Since(start))
	return nil
}

// block returns what a person should know about an item that can never be
// published, unless it was only the sink that cannot.
func (e *Engine) block(ctx context.Context, i int, cause error) *Problem {
	if problem, ok := errors.AsType[*Problem](cause); ok && problem.Broken {
		return problem
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTimeout)
	defer cancel()
	return e.Source.Block(ctx, i, cause)
}
