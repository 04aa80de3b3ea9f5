package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deletion deletes the Topic resource, and makes it again.
func (d *demo) deletion(ctx context.Context) error {
	admin, err := d.parts.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	before, err := countRecords(ctx, admin)
	if err != nil {
		return err
	}
	d.say("Its deletionPolicy is Retain, as it is where nobody says otherwise:")
	if err := d.run(ctx, fmt.Sprintf("kubectl delete topic orders -n shop --timeout=%.0fs", d.patience.Seconds())); err != nil {
		return err
	}
	if err := d.revoked(ctx, admin); err != nil {
		return err
	}
	if err := d.refused(ctx, "checkout is refused as a producer now", func(ctx context.Context) error {
		return d.produce(ctx, d.users["checkout"], kgo.KeySliceRecord([]byte("nobody"), []byte("refused")))
	}, kerr.TopicAuthorizationFailed); err != nil {
		return err
	}
	after, err := countRecords(ctx, admin)
	if err != nil {
		return err
	}
	if after != before || after == 0 {
		return fmt.Errorf("shop.orders had %d records before, and has %d now", before, after)
	}
	d.holds("the topic shop.orders is there, with all its %d records", after)

	d.say("Whoever still needs it says so, and goes on with what it has:")
	for _, what := range []string{"-n shop outboxrelay/orders", "-n finance consumergroup/billing"} {
		if err := d.wait(ctx, "--for=condition=Ready=False "+what); err != nil {
			return err
		}
	}
	if err := d.run(ctx, "kubectl get weir -A"); err != nil {
		return err
	}
	if err := d.shop.place(ctx, 1, []order{{customer: anyCustomer(), payment: paidByCard}}); err != nil {
		return err
	}
	if err := d.reads(ctx); err != nil {
		return err
	}
	d.holds("an order that is placed now is published and read: the relay and billing keep their own grants")
	before++

	d.say("The team applies its topology again:")
	if err := d.run(ctx, "kubectl apply -k config/samples"); err != nil {
		return err
	}
	if err := d.allReady(ctx); err != nil {
		return err
	}
	if err := d.run(ctx, "kubectl events -n shop --for topic/orders"); err != nil {
		return err
	}
	if after, err = countRecords(ctx, admin); err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("shop.orders has %d records, want %d", after, before)
	}
	d.holds("the topic has its %d records, one more than before, and everybody is Ready", after)
	return nil
}

// revoked waits until checkout has no ACLs on shop.orders any more: they go some
// seconds after the Topic.
func (d *demo) revoked(ctx context.Context, admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for {
		grants, err := countACLs(ctx, admin, kadm.OpAny)
		if err != nil || grants == 0 {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("checkout still has %d ACLs on shop.orders", grants)
		}
	}
}

// countRecords is how many records shop.orders holds.
func countRecords(ctx context.Context, admin *kadm.Client) (n int64, err error) {
	starts, err := admin.ListStartOffsets(ctx, ordersTopic)
	if err != nil {
		return 0, err
	}
	ends, err := admin.ListEndOffsets(ctx, ordersTopic)
	if err != nil {
		return 0, err
	}
	if ends.Error() != nil {
		return 0, ends.Error()
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		n += end.Offset - start.Offset
	})
	return n, starts.Error()
}
