package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// ending counts everything once more, and says where to go from here.
func (d *demo) ending(ctx context.Context) error {
	if d.chaos != nil {
		stop := d.shop.sell(ctx, 2*time.Millisecond)
		defer func() { _, _ = stop() }() // where something else went wrong
		if err := d.chaos.wait(ctx); err != nil {
			return err
		}
		if _, err := stop(); err != nil {
			return err
		}
	}
	if err := d.shop.place(ctx, 1, []order{{customer: anyCustomer(), payment: paidByCard}}); err != nil {
		return err
	}
	if err := d.reads(ctx); err != nil {
		return err
	}
	placed, err := d.placed(ctx)
	if err != nil {
		return err
	}
	billed, again := d.billing.counts()
	if want := sum(placed) - placed[tenderCustomer]; billed != want {
		return fmt.Errorf("billing has billed %d orders, want %d", billed, want)
	}
	if err := d.allReady(ctx); err != nil {
		return err
	}
	if err := d.run(ctx, "kubectl get weir -A"); err != nil {
		return err
	}
	d.holds("%d orders were placed: %d are billed, %s, and %d is a dead letter; none is lost",
		sum(placed), billed, timesWords(again), placed[tenderCustomer])
	if d.chaos != nil {
		d.holds("%s", d.chaos.summary())
	}
	d.say("Where to go from here:\n" +
		"  README.md          what Weir is, and how to install it on your cluster\n" +
		"  docs/              concepts, and a page for each kind\n" +
		"  config/samples/    what the teams of this story wrote")
	return nil
}

// stayUp keeps the platform, and the shop selling, until ctx ends.
func (d *demo) stayUp(ctx context.Context) error {
	stop := d.shop.sell(ctx, time.Second)
	d.say("Everything stays up, and the shop sells an order a second, until Ctrl-C. In another terminal:\n\n"+
		"  export KUBECONFIG=%s\n"+
		"  export PATH=%s:$PATH\n"+
		"  kubectl get weir -A --watch\n"+
		"  kubectl describe outboxrelay orders -n shop\n"+
		"  kubectl explain consumergroup.spec\n\n"+
		"The pods' logs are in %s", d.parts.kube.Kubeconfig, filepath.Dir(d.parts.kube.KubectlPath), d.parts.logDir())
	<-ctx.Done()
	_, err := stop()
	return err
}
