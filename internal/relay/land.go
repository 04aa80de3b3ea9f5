package relay

import (
	"context"
	"errors"
	"time"
)

// land takes the outcomes of a flight.
func (e *Engine) land(ctx context.Context) error {
	f := e.acknowledge()
	held := false
	for topic, of := range byTopic(f) {
		if len(of.failures) > 0 {
			if err := e.fail(ctx, topic, of); err != nil {
				return err
			}
			continue
		}
		held = e.holds.passed(topic, of.flown) || held
	}
	if held && e.aside > 0 {
		e.rewind()
	}
	e.assess()
	return nil
}

// acknowledge tells the source what of the flight was acknowledged, and ends it.
func (e *Engine) acknowledge() *flight {
	f := e.air
	e.air, e.stalled = nil, nil
	f.callOff()
	numbers := f.acknowledged()
	e.Source.Acknowledge(numbers)
	e.Metrics.acknowledged(len(numbers), time.Since(f.start))
	return f
}

// landed is what became of the records of one topic.
type landed struct {
	flown    int
	failures []failure
}

func byTopic(f *flight) map[string]*landed {
	all := map[string]*landed{}
	of := func(item Item) *landed {
		topic := topicOf(item)
		if all[topic] == nil {
			all[topic] = &landed{}
		}
		return all[topic]
	}
	for _, item := range f.items {
		of(item).flown++
	}
	for _, one := range f.failures() {
		to := of(one.item)
		to.failures = append(to.failures, one)
	}
	return all
}

// fail holds a topic whose records were not all acknowledged.
func (e *Engine) fail(ctx context.Context, topic string, of *landed) error {
	e.aside += len(of.failures)
	var problem *Problem
	suspects := 0
	for i, one := range of.failures {
		verdict, why := e.Sink.Judge(one.item.Record, one.err)
		switch {
		case verdict == Broken:
			return why
		case verdict == Refused && of.flown == 1:
			return e.block(ctx, one.item, errors.New(why.Message))
		case verdict == Refused:
			suspects = i + 1
		case problem == nil:
			problem = why
		}
	}
	if suspects > 0 {
		e.holds.search(topic, suspects)
		return nil
	}
	e.hold(topic, problem)
	return nil
}

func (e *Engine) hold(topic string, problem *Problem) {
	e.Metrics.Failed(problem.Reason)
	e.holds.put(topic, problem)
	e.assess()
}

// block holds the topic of an item that can never be published. The error is the
// source's.
func (e *Engine) block(ctx context.Context, item Item, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTimeout)
	defer cancel()
	problem := e.Source.Block(ctx, item.Number, cause)
	if problem.Broken {
		return problem
	}
	e.hold(topicOf(item), problem)
	e.holds[topicOf(item)].suspects = 1 // it flies alone
	return nil
}
