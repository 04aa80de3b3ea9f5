package main

import (
	"context"
	"fmt"
	"time"
)

// lagging stops billing while the shop sells on, until it is further behind
// than its team allows.
func (d *demo) lagging(ctx context.Context) error {
	if err := d.run(ctx, "kubectl get consumergroup billing -n finance -o jsonpath='{.spec.lag}'"); err != nil {
		return err
	}
	d.say("billing is scaled to zero, and the shop goes on selling:")
	if err := d.billing.stop(); err != nil {
		return err
	}
	began := time.Now()
	stop := d.shop.sell(ctx, 100*time.Millisecond)
	defer func() { _, _ = stop() }() // where something else went wrong
	if err := d.wait(ctx, "--for=condition=Lagging -n finance consumergroup/billing"); err != nil {
		return err
	}
	took := time.Since(began)
	for _, command := range []string{
		"kubectl get consumergroup -n finance -o wide",
		"kubectl get consumergroup billing -n finance -o jsonpath='{.status.conditions[?(@.type==\"Lagging\")].message}'",
		"kubectl get prometheusrule -n finance -o \\\n" +
			`  jsonpath='{range .items[*].spec.groups[*].rules[*]}{.alert} ({.labels.severity}): {.expr}{"\n"}{end}'`,
	} {
		output, err := d.read(ctx, command)
		if err != nil {
			return err
		}
		if output == "" {
			return fmt.Errorf("%s\nsays nothing", command)
		}
	}
	d.holds("Lagging is True %.1fs after billing stopped", took.Seconds())

	sold, err := stop()
	if err != nil {
		return err
	}
	d.say("billing starts again, where it had committed:")
	began = time.Now()
	if err := d.billing.start(); err != nil {
		return err
	}
	if err := d.reads(ctx); err != nil {
		return err
	}
	d.holds("billing has read the %d orders of that time", sold)
	if err := d.wait(ctx, "--for=condition=Lagging=False -n finance consumergroup/billing"); err != nil {
		return err
	}
	if err := d.run(ctx, "kubectl get consumergroup -n finance -o wide"); err != nil {
		return err
	}
	d.holds("Lagging is False %.1fs after billing started", time.Since(began).Seconds())
	return nil
}
