package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/test/env"
)

// demo is the story and who is in it.
type demo struct {
	*teller
	*shell
	parts *parts

	shop    *shop
	billing *billing
	chaos   *chaos // nil in a quiet story
	users   map[string]env.User

	// patience is how long the story waits for what must come.
	patience time.Duration
}

// chapter is a step of the story.
type chapter struct {
	title string
	tell  func(*demo, context.Context) error
	// look is what to describe where the chapter does not hold, as arguments
	// of kubectl describe.
	look string
}

var chapters = []chapter{
	{"Weir is installed, and three teams write down what they want", (*demo).declare, "weir -A"},
	{"Grants hold on the broker", (*demo).access, "-n shop topic/orders"},
	{"1,000 orders, of which 100 are rolled back", (*demo).orders, "-n shop outboxrelay/orders"},
	{"The broker goes away for five seconds", (*demo).outage, "-n shop outboxrelay/orders"},
	{"Records fail: retries and a dead letter", (*demo).failures, "-n finance consumergroup/billing"},
	{"A consumer falls behind", (*demo).lagging, "-n finance consumergroup/billing"},
	{"Somebody changes Kafka by hand", (*demo).drift, "-n shop topic/orders"},
	{"The Topic resource is deleted", (*demo).deletion, "-n shop topic/orders"},
	{"Where things stand", (*demo).ending, "weir -A"},
}

func newDemo(t *teller, p *parts) *demo {
	return &demo{
		teller:   t,
		shell:    newShell(t, p.kube.Kubeconfig, p.kube.KubectlPath),
		parts:    p,
		users:    map[string]env.User{},
		patience: time.Minute,
	}
}

// tell tells the chapters one after the other; the first that does not hold is the last.
func (d *demo) tell(ctx context.Context) error {
	for i, c := range chapters {
		d.chapter(i+1, c.title)
		if err := c.tell(d, ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d.breaks(err.Error())
			d.explain(ctx, c.look)
			return fmt.Errorf("chapter %d, %q, does not hold", i+1, c.title)
		}
	}
	return nil
}

// await polls until check holds. Its error is what check said last.
func (d *demo) await(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", d.patience, last)
		case <-tick.C:
		}
	}
}

// close ends the applications.
func (d *demo) close() error {
	if d.chaos != nil {
		d.chaos.stop()
	}
	// Without a broker nobody could leave in good order.
	errs := []error{d.parts.gate.Restore()}
	if d.billing != nil {
		errs = append(errs, d.billing.stop())
	}
	return errors.Join(errs...)
}
