package relay

import (
	"context"
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
	// callOffTimeout is how long it waits for the outcomes of a flight that it has
	// called off.
	callOffTimeout = time.Second
	// SettleTimeout bounds one Settle, also while stopping.
	SettleTimeout = 10 * time.Second
	// mostAside is how many items may wait for topics that are held until no more
	// are read (law 5).
	mostAside = 10_000
)

// Engine publishes what a source holds, one flight at a time; while that is in the
// air, the next one is read and the last one settled. A sink may serve many
// engines; a source serves one, and another one after that.
type Engine struct {
	Source Source
	Sink   Sink
	// Report is told what troubles the engine, and nil when nothing does.
	// Typically Health.Report. It is called often, also without a change.
	Report  func(*Problem)
	Metrics *Metrics
	Log     *slog.Logger

	waiting []Item // read, and in no flight yet
	air     *flight
	holds   holds
	// aside is how many items were read and wait for a topic that is held: they are
	// read again when it is tried.
	aside    int
	kept     time.Time // when the session was last seen alive
	stalled  *Problem  // why nothing of the flight is acknowledged
	answered bool      // brokers did answer at the last look, and nothing was wrong
	news     News      // the problem that was logged last
}

// Run publishes until ctx ends, and then returns nil after what was
// acknowledged has been settled. It returns an error when the source lost its
// session or the sink is broken; records may then still be in flight, and
// closing the sink gives them up.
func (e *Engine) Run(ctx context.Context) error {
	e.holds = holds{}
	defer e.abandon()
	for ctx.Err() == nil {
		if err := e.step(ctx); err != nil {
			return err
		}
	}
	return e.drain(context.WithoutCancel(ctx))
}

// step sends off what can fly, reads or settles meanwhile, and takes what has
// landed.
func (e *Engine) step(ctx context.Context) error {
	if e.air == nil {
		e.retry()
		if err := e.launch(ctx); err != nil {
			return err
		}
	}
	move := e.read
	if len(e.waiting) > 0 || e.aside >= mostAside || e.holds.closed() {
		move = e.wait
	}
	if err := move(ctx); err != nil {
		return err
	}
	if e.air == nil {
		return nil
	}
	if e.air.landed.Err() != nil {
		return e.land(ctx)
	}
	return e.look(ctx)
}

// retry has the items of topics that are to be tried again read anew, and with
// them all others that wait.
func (e *Engine) retry() {
	if e.holds.release(time.Now()) {
		e.rewind()
	}
}

func (e *Engine) rewind() {
	e.Source.Rewind()
	e.waiting, e.aside = nil, 0
}

// launch sends off what was read, without the items of topics that are held.
func (e *Engine) launch(ctx context.Context) error {
	var items, rest []Item
	flown := map[string]int{}
	for i, item := range e.waiting {
		topic := topicOf(item)
		room := e.holds.room(topic)
		if e.holds.closed() || room >= 0 && flown[topic] >= room {
			e.aside++
			continue
		}
		poison := item.Poison
		if poison == nil {
			poison = e.Sink.Refuse(item.Record)
		}
		if poison != nil {
			if err := e.block(ctx, item, poison); err != nil {
				return err
			}
			e.aside++
			continue
		}
		alone := e.Sink.Alone(item.Record)
		if alone && len(items) > 0 {
			rest = e.waiting[i:]
			break
		}
		flown[topic]++
		items = append(items, item)
		if alone {
			rest = e.waiting[i+1:]
			break
		}
	}
	if len(e.waiting) > 0 && len(rest) == 0 {
		e.holds.opened()
	}
	e.waiting = rest
	if len(items) == 0 {
		return nil
	}
	records := make([]*kgo.Record, len(items))
	for i, item := range items {
		records[i] = item.Record
	}
	// Not the caller's cancellation: stopping waits for what is in flight (law 4).
	f, flying := newFlight(context.WithoutCancel(ctx), items)
	e.air, e.kept, e.answered = f, f.start, false
	e.Sink.Send(flying, records, f.judge)
	return nil
}

func topicOf(item Item) string {
	if item.Record == nil {
		return allTopics
	}
	return item.Record.Topic
}

// read asks the source for more, until what is in the air lands, or something
// else is to be done.
func (e *Engine) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if e.air != nil {
		defer context.AfterFunc(e.air.landed, cancel)()
	}
	if pause, ends := e.pause(); ends {
		defer time.AfterFunc(pause, cancel).Stop()
	}
	items, err := e.Source.Next(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the next batch: %w", err)
	case len(items) > 0:
		e.waiting = items
	case ctx.Err() == nil && e.air == nil:
		if e.aside == 0 {
			e.holds.forget() // nothing of what was tried again is there any more
		}
		e.assess()
	}
	return nil
}

// wait settles what is owed, and waits until what is in the air lands, or
// something else is to be done.
func (e *Engine) wait(ctx context.Context) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	var landed <-chan struct{}
	if e.air != nil {
		landed = e.air.landed.Done()
	}
	var over <-chan time.Time
	if pause, ends := e.pause(); ends {
		over = time.After(pause)
	}
	select {
	case <-landed:
	case <-over:
	case <-ctx.Done():
	}
	return nil
}

// pause is how long reading or waiting may take; ends is false where any time.
func (e *Engine) pause() (pause time.Duration, ends bool) {
	if e.air != nil {
		return time.Until(e.kept.Add(keepInterval)), true
	}
	next := e.holds.next()
	return time.Until(next), !next.IsZero()
}

// settle has a deadline of its own, so that what was acknowledged is settled
// while stopping too (law 4).
func (e *Engine) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTimeout)
	defer cancel()
	if err := e.Source.Settle(ctx); err != nil {
		return fmt.Errorf("settling acknowledged records: %w", err)
	}
	return nil
}

// look keeps the source's session while records are in flight, and tells when
// nothing moves.
func (e *Engine) look(ctx context.Context) error {
	if time.Since(e.kept) < keepInterval {
		return nil
	}
	e.kept = time.Now()
	ctx = context.WithoutCancel(ctx)
	if err := e.Source.Keep(ctx); err != nil {
		return fmt.Errorf("with records in flight: %w", err)
	}
	switch item, idle := e.air.waitsFor(); {
	case item.Record != nil && idle > stallAfter:
		e.diagnose(ctx, item.Record)
	case e.stalled != nil:
		e.stalled = nil
		e.assess()
	}
	return nil
}

// diagnose says why nothing is acknowledged. Records stay in flight: the producer
// goes on trying, in order. Brokers that did not answer the last time may just be
// back, and are given until the next look.
func (e *Engine) diagnose(ctx context.Context, record *kgo.Record) {
	e.stalled = e.Sink.Diagnose(ctx, record)
	if e.stalled == nil && e.answered {
		e.stalled = &Problem{Reason: "NotAcknowledged", Message: "the brokers answer, but do not acknowledge records; " +
			"check that enough replicas of the topic are in sync (min.insync.replicas)"}
	}
	e.answered = e.stalled == nil || e.stalled.Reason == "NotAcknowledged"
	if e.stalled != nil {
		e.assess()
	}
}

// assess reports why records wait, or that there is progress, or nothing to do.
func (e *Engine) assess() {
	problem := e.stalled
	if problem == nil {
		problem = e.holds.problem()
	}
	if problem == nil {
		problem = e.Source.Trouble()
	}
	e.Report(problem)
	if problem == nil {
		if len(e.holds) == 0 && e.news.Over() {
			e.Log.Info("records flow again")
		}
		return
	}
	if e.news.Is(problem.Error()) {
		e.Log.Warn("records wait", "reason", problem.Reason, "message", problem.Message)
	}
}

// drain waits for what is in flight, and settles what was acknowledged (law 4).
func (e *Engine) drain(ctx context.Context) error {
	drained := time.After(DrainTimeout)
	for e.air != nil {
		select {
		case <-e.air.landed.Done():
			e.acknowledge()
		case <-drained:
			e.abandon()
		case <-time.After(keepInterval):
			if err := e.Source.Keep(ctx); err != nil {
				return fmt.Errorf("with records in flight: %w", err)
			}
		}
	}
	return e.settle(ctx)
}

// abandon calls off what is in flight, so that the source knows what was
// acknowledged and what is to be read again by whoever serves it next.
func (e *Engine) abandon() {
	if e.air != nil {
		e.air.callOff()
		select {
		case <-e.air.landed.Done():
		case <-time.After(callOffTimeout):
		}
		e.acknowledge()
	}
	e.rewind()
}
