package main

import (
	"context"
	"fmt"
	"time"
)

// outage takes the broker away while the shop sells on.
func (d *demo) outage(ctx context.Context) error {
	const least = 5 * time.Second
	stop := d.shop.sell(ctx, 10*time.Millisecond)
	defer func() { _, _ = stop() }() // where something else went wrong
	d.say("The shop goes on selling, and nobody reaches Kafka any more:")
	d.parts.gate.Cut()
	began := time.Now()
	for _, command := range []string{
		"--for=condition=Ready=False -n shop outboxrelay/orders",
		"--for=condition=Backlogged -n shop outboxrelay/orders",
	} {
		if err := d.wait(ctx, command); err != nil {
			return err
		}
	}
	for _, command := range []string{
		"kubectl get outboxrelay -n shop -o wide",
		"kubectl get outboxrelay orders -n shop \\\n  -o jsonpath='{range .status.conditions[*]}{.type}={.status}: {.message}{\"\\n\"}{end}'",
		"kubectl get pods -n shop",
	} {
		if err := d.run(ctx, command); err != nil {
			return err
		}
	}
	select {
	case <-time.After(least - time.Since(began)):
	case <-ctx.Done():
		return ctx.Err()
	}
	waiting, err := d.shop.waiting(ctx)
	if err != nil {
		return err
	}
	d.command("shop=>", "SELECT count(*) FROM outbox;")
	d.output(fmt.Sprint(waiting))
	if waiting == 0 {
		return fmt.Errorf("no rows wait in the outbox after %s without a broker", time.Since(began))
	}
	if err := d.parts.gate.Restore(); err != nil {
		return err
	}
	d.holds("%d rows have waited in the outbox; the broker is back after %.1fs", waiting, time.Since(began).Seconds())

	sold, err := stop()
	if err != nil {
		return err
	}
	_, before := d.billing.counts()
	back := time.Now()
	if err := d.reads(ctx); err != nil {
		return err
	}
	_, after := d.billing.counts()
	d.holds("all %d orders of that time have arrived, %s, in order per customer, %.1fs after the broker",
		sold, timesWords(after-before), time.Since(back).Seconds())
	if err := d.wait(ctx, "--for=condition=Ready -n shop outboxrelay/orders"); err != nil {
		return err
	}
	return d.wait(ctx, "--for=condition=Backlogged=False -n shop outboxrelay/orders")
}
