package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
)

// The customers whose orders billing cannot bill at once.
const (
	gatewayCustomer = "gateway-customer"
	tenderCustomer  = "tender-customer"
)

// late is how much longer than its schedule a wait may be on a machine that
// does much else.
const late = 3 * time.Second

// failures lets billing fail on one event for a while, and on another for good.
func (d *demo) failures(ctx context.Context) error {
	if err := d.run(ctx, "kubectl get deadletterpolicy standard -n finance -o jsonpath='{.status.schedule}'"); err != nil {
		return err
	}
	schedule, err := d.schedule(ctx)
	if err != nil {
		return err
	}
	d.say("billing hands a record that it fails on to the topic finance.billing.failed; Weir's worker does the rest:")
	if err := d.shop.place(ctx, 1, []order{{customer: gatewayCustomer, payment: gatewayTwice}, {customer: tenderCustomer, payment: unknownTender}}); err != nil {
		return err
	}

	var visits []visit
	if err := d.await(ctx, func(context.Context) error {
		visits = d.billing.visitsOf("PaymentGatewayTimeout")
		if len(visits) < 3 {
			return fmt.Errorf("billing has been delivered the order of %s %d times, want 3", gatewayCustomer, len(visits))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := d.checkWaits(visits, schedule); err != nil {
		return err
	}
	if err := d.deadLetters(ctx); err != nil {
		return err
	}
	if err := d.wait(ctx, "--for=jsonpath='{.status.deadLetters.depth}'=1 -n finance consumergroup/billing"); err != nil && d.chaos == nil {
		return err
	}
	if err := d.wait(ctx, "--for=condition=DeadLettersPresent -n finance deadletterpolicy/standard"); err != nil {
		return err
	}
	return d.run(ctx, "kubectl get consumergroup,deadletterpolicy -n finance")
}

// schedule are the waits that the policy's status promises.
func (d *demo) schedule(ctx context.Context) ([]time.Duration, error) {
	text, err := d.get(ctx, "deadletterpolicy standard -n finance", ".status.schedule")
	if err != nil {
		return nil, err
	}
	var words []string
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		return nil, fmt.Errorf("read status.schedule %q: %w", text, err)
	}
	schedule := make([]time.Duration, len(words))
	for i, word := range words {
		if schedule[i], err = time.ParseDuration(word); err != nil {
			return nil, fmt.Errorf("read status.schedule %q: %w", text, err)
		}
	}
	return schedule, nil
}

// checkWaits compares the times of three deliveries with the schedule.
func (d *demo) checkWaits(visits []visit, schedule []time.Duration) error {
	for i, v := range visits {
		if v.attempt != i+1 {
			return fmt.Errorf("delivery %d of the order of %s is attempt %d", i+1, gatewayCustomer, v.attempt)
		}
		outcome := "billed"
		if v.class != "" {
			outcome = v.class
		}
		if i == 0 {
			d.holds("attempt 1, from %s: %s", v.topic, outcome)
			continue
		}
		waited, want := v.at.Sub(visits[i-1].failed), schedule[i-1]
		if waited < want {
			return fmt.Errorf("attempt %d came %s after the failure, sooner than the %s of the schedule", i+1, waited, want)
		}
		if waited > want+late && d.chaos == nil {
			return fmt.Errorf("attempt %d came %s after the failure, much later than the %s of the schedule", i+1, waited, want)
		}
		d.holds("attempt %d, from %s: %s after a wait of %.2fs, scheduled are %s", i+1, v.topic, outcome, waited.Seconds(), want)
	}
	return nil
}

// deadLetters checks what is in the dead letter topic: the order of
// tenderCustomer, with headers that say what, where, when and why.
func (d *demo) deadLetters(ctx context.Context) error {
	client, err := kgo.NewClient(append(d.parts.kafka.Options(d.parts.kafka.Admin),
		kgo.ConsumeTopics(deadletter.DLT(billingGroup)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	var letter *kgo.Record
	for letter == nil {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", deadletter.DLT(billingGroup), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { letter = r })
	}

	d.command("kafka#", "kafka-console-consumer --topic finance.billing.dlt --from-beginning --property print.headers=true")
	d.output(fmt.Sprintf("key     %s\nvalue   %s\nheaders", letter.Key, letter.Value))
	for _, h := range letter.Headers {
		d.output(fmt.Sprintf("  %-24s %s", h.Key, h.Value))
	}
	if string(letter.Key) != tenderCustomer {
		return fmt.Errorf("the dead letter is of %s, want %s", letter.Key, tenderCustomer)
	}
	for name, want := range map[string]string{
		deadletter.Group:         billingGroup,
		deadletter.ReasonHeader:  string(deadletter.PermanentError),
		deadletter.ErrorClass:    "TenderSchemaException",
		deadletter.OriginalTopic: ordersTopic,
		deadletter.Attempt:       "1",
	} {
		if got := header(letter, name); got != want {
			return fmt.Errorf("header %s of the dead letter is %q, want %q", name, got, want)
		}
	}
	if _, err := time.Parse(time.RFC3339, header(letter, deadletter.DeadLetteredAt)); err != nil {
		return fmt.Errorf("header %s of the dead letter: %w", deadletter.DeadLetteredAt, err)
	}
	if err := d.sameAsOriginal(ctx, letter); err != nil {
		return err
	}
	d.holds("the dead letter is the record at its original place byte by byte, and says what, where, when and why")
	return nil
}

// sameAsOriginal reads the record at the place that a dead letter names.
func (d *demo) sameAsOriginal(ctx context.Context, letter *kgo.Record) error {
	partition, err := strconv.ParseInt(header(letter, deadletter.OriginalPartition), 10, 32)
	if err != nil {
		return fmt.Errorf("header %s of the dead letter: %w", deadletter.OriginalPartition, err)
	}
	offset, err := strconv.ParseInt(header(letter, deadletter.OriginalOffset), 10, 64)
	if err != nil {
		return fmt.Errorf("header %s of the dead letter: %w", deadletter.OriginalOffset, err)
	}
	client, err := kgo.NewClient(append(d.parts.kafka.Options(d.parts.kafka.Admin), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{ordersTopic: {int32(partition): kgo.NewOffset().At(offset)}}))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read the dead letter's original: %w", err)
		}
		for r := range fetches.RecordsAll() {
			if r.Offset != offset || !slices.Equal(r.Key, letter.Key) || !slices.Equal(r.Value, letter.Value) {
				return errors.New("the dead letter's key and value are not those of the record at its original place")
			}
			return nil
		}
	}
}
