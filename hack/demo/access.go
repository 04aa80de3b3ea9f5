package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/test/env"
)

// walkIn is the customer of the one order that checkout produces without the outbox.
const walkIn = "walk-in"

// access tries what each user may and may not do, with its own credentials.
func (d *demo) access(ctx context.Context) error {
	if err := d.run(ctx, "kubectl get topic,outboxrelay,consumergroup -A -o wide"); err != nil {
		return err
	}
	if err := d.listACLs(ctx); err != nil {
		return err
	}
	d.say("Each user tries with its own password, over Kafka's own protocol:")
	checkout, billing, stranger := d.users["checkout"], d.users["billing"], d.users["stranger"]

	order := &kgo.Record{
		Topic: ordersTopic, Key: []byte(walkIn),
		Value:   []byte(`{"customer": "walk-in", "number": 1, "payment": "card"}`),
		Headers: []kgo.RecordHeader{{Key: "id", Value: []byte("walk-in-1")}, {Key: "type", Value: []byte("OrderPlaced")}},
	}
	if err := d.may(ctx, "checkout may produce to shop.orders", func(ctx context.Context) error {
		return d.produce(ctx, checkout, order)
	}); err != nil {
		return err
	}
	d.billing = newBilling(d.parts.kafka, billing)
	if err := d.billing.start(); err != nil {
		return err
	}
	if err := d.may(ctx, "billing may consume it, as the group finance.billing: it has read checkout's order", func(ctx context.Context) error {
		return d.billing.compare(map[string]int{walkIn: 1})
	}); err != nil {
		return err
	}

	attempt := func() *kgo.Record { return kgo.KeySliceRecord([]byte("nobody"), []byte("refused")) }
	for _, refusal := range []struct {
		what string
		try  func(context.Context) error
		want error
	}{
		{"checkout is refused as a consumer", func(ctx context.Context) error { return d.consume(ctx, checkout) }, kerr.TopicAuthorizationFailed},
		{"billing is refused as a producer", func(ctx context.Context) error { return d.produce(ctx, billing, attempt()) }, kerr.TopicAuthorizationFailed},
		{"a stranger is refused as a producer", func(ctx context.Context) error { return d.produce(ctx, stranger, attempt()) }, kerr.TopicAuthorizationFailed},
		{"a stranger is refused as a consumer", func(ctx context.Context) error { return d.consume(ctx, stranger) }, kerr.TopicAuthorizationFailed},
		{"a stranger is refused in the group finance.billing", func(ctx context.Context) error {
			return d.offsets(ctx, stranger)
		}, kerr.GroupAuthorizationFailed},
	} {
		if err := d.refused(ctx, refusal.what, refusal.try, refusal.want); err != nil {
			return err
		}
	}
	return nil
}

// listACLs shows the ACL bindings as Kafka has them.
func (d *demo) listACLs(ctx context.Context) error {
	client, err := kgo.NewClient(d.parts.kafka.Options(d.parts.kafka.Admin)...)
	if err != nil {
		return err
	}
	defer client.Close()
	results, err := kadm.NewClient(client).DescribeACLs(ctx, kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations().ResourcePatternType(kadm.ACLPatternAny))
	if err != nil {
		return fmt.Errorf("list the ACLs: %w", err)
	}
	d.command("kafka#", "kafka-acls --list")
	var lines []string
	for _, result := range results {
		for _, acl := range result.Described {
			lines = append(lines, fmt.Sprintf("%-16s %-16s %s %s", acl.Principal, acl.Operation, acl.Type, acl.Name))
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		d.output(line)
	}
	return nil
}

// may checks that something is allowed; a right that was just granted may take
// a moment to reach the broker.
func (d *demo) may(ctx context.Context, what string, try func(context.Context) error) error {
	if err := d.await(ctx, try); err != nil {
		return fmt.Errorf("%s, but: %w", what, err)
	}
	d.holds("%s", what)
	return nil
}

// refused checks that Kafka refuses something with this error.
func (d *demo) refused(ctx context.Context, what string, try func(context.Context) error, want error) error {
	switch err := try(ctx); {
	case err == nil:
		return fmt.Errorf("%s: not so, Kafka let it pass", what)
	case !errors.Is(err, want):
		return fmt.Errorf("%s: want %w, got: %w", what, want, err)
	}
	var refusal *kerr.Error
	errors.As(want, &refusal)
	d.holds("%s: %s", what, refusal.Message)
	return nil
}

// probeTime is how long a user tries.
const probeTime = 15 * time.Second

// produce produces one record to shop.orders as a user.
func (d *demo) produce(ctx context.Context, user env.User, record *kgo.Record) error {
	client, err := kgo.NewClient(append(d.parts.kafka.Options(user), kgo.DefaultProduceTopic(ordersTopic))...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return client.ProduceSync(ctx, record).FirstErr()
}

// consume reads one record of shop.orders as a user.
func (d *demo) consume(ctx context.Context, user env.User) error {
	client, err := kgo.NewClient(append(d.parts.kafka.Options(user),
		kgo.ConsumeTopics(ordersTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		for _, failed := range fetches.Errors() {
			return failed.Err
		}
		if fetches.NumRecords() > 0 {
			return nil
		}
	}
}

// offsets reads the commits of the group finance.billing as a user.
func (d *demo) offsets(ctx context.Context, user env.User) error {
	client, err := kgo.NewClient(d.parts.kafka.Options(user)...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err = kadm.NewClient(client).FetchOffsets(ctx, billingGroup)
	return err
}
