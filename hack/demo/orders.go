package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// orders is the main job: an application writes rows in its transactions, and
// another one reads the events.
func (d *demo) orders(ctx context.Context) error {
	const total, rolledBack, connections = 1000, 100, 8
	var all []order
	for i := range total {
		all = append(all, order{customer: anyCustomer(), payment: paidByCard, rollBack: i < rolledBack})
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	d.say("Each order is a transaction that locks its customer, counts the order, and writes the event beside it:")
	d.command("shop=>", "BEGIN;\n"+countOrder+";\n"+insertOrder+";\n"+insertEvent+";\nCOMMIT; -- or ROLLBACK")
	billed, _ := d.billing.counts()
	before, err := d.shop.placed(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.shop.place(ctx, connections, all); err != nil {
		return err
	}
	wrote := time.Since(began)
	placed, err := d.shop.placed(ctx)
	if err != nil {
		return err
	}
	if grown := sum(placed) - sum(before); grown != total-rolledBack {
		return fmt.Errorf("the shop has committed %d orders, want %d", grown, total-rolledBack)
	}
	d.holds("%d connections have placed %d orders of %d customers in %s: %d committed, %d rolled back",
		connections, total, customers, wrote.Round(time.Millisecond), total-rolledBack, rolledBack)

	if err := d.reads(ctx); err != nil {
		return err
	}
	now, again := d.billing.counts()
	if now-billed != total-rolledBack {
		return fmt.Errorf("billing has read %d events, want %d", now-billed, total-rolledBack)
	}
	if again > 0 && d.chaos == nil {
		return fmt.Errorf("billing was delivered %d events twice, and nothing was killed", again)
	}
	d.holds("billing has read exactly these %d, %s, in order per customer (%s after the first was placed)",
		now-billed, timesWords(again), time.Since(began).Round(time.Millisecond))
	return d.run(ctx, "kubectl get outboxrelay,consumergroup -A")
}

// reads waits until billing has read all orders of the database, and nothing else.
func (d *demo) reads(ctx context.Context) error {
	return d.await(ctx, func(ctx context.Context) error {
		placed, err := d.placed(ctx)
		if err != nil {
			return err
		}
		return d.billing.compare(placed, gatewayCustomer, tenderCustomer)
	})
}

// placed are the orders of the database, and the one that checkout produced
// without it.
func (d *demo) placed(ctx context.Context) (map[string]int, error) {
	placed, err := d.shop.placed(ctx)
	if err == nil {
		placed[walkIn] = 1
	}
	return placed, err
}

// timesWords say how often events came that were read before.
func timesWords(again int) string {
	if again == 0 {
		return "each once"
	}
	return fmt.Sprintf("%d of them delivered twice and dropped by their id", again)
}

func sum(counts map[string]int) (total int) {
	for _, count := range counts {
		total += count
	}
	return total
}
