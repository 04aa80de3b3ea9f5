package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/test/env"
)

// The topics of the story.
const (
	ordersTopic  = "shop.orders"
	billingGroup = "finance.billing"
)

// billing is the application that reads orders as the consumer group finance.billing.
// It drops deliveries that it had before, by the event's id, and hands what it fails
// on to Weir: one produce call. Its methods may be called from any goroutine.
type billing struct {
	options []kgo.Opt

	mu      sync.Mutex
	client  *kgo.Client // nil while it is stopped
	ended   chan error
	handled map[string]int   // the last attempt at an event, by its id
	billed  map[string][]int // numbers of a customer's orders, as they came
	again   int              // deliveries that it had before
	trouble error            // the last one with Kafka
	visits  []visit          // deliveries of events that it failed on at least once
}

// visit is a delivery of an event that fails, or has failed before.
type visit struct {
	id      string
	attempt int
	topic   string
	at      time.Time // when it was delivered
	failed  time.Time // when its failure was handed over; zero where it was billed
	class   string
}

// event is what the shop publishes.
type event struct {
	Customer string `json:"customer"`
	Number   int    `json:"number"`
	Payment  string `json:"payment"`
}

func newBilling(kafka *env.Kafka, user env.User) *billing {
	return &billing{
		options: append(kafka.Options(user),
			kgo.ClientID("billing"),
			kgo.ConsumerGroup(billingGroup),
			kgo.ConsumeTopics(ordersTopic, deadletter.Retry(billingGroup)),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(),
			kgo.BlockRebalanceOnPoll(),
			kgo.FetchMaxWait(500*time.Millisecond),
		),
		handled: map[string]int{},
		billed:  map[string][]int{},
	}
}

// start begins to read where the group's commits say.
func (b *billing) start() error {
	client, err := kgo.NewClient(b.options...)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.client, b.ended = client, make(chan error, 1)
	go func(ended chan<- error) { ended <- b.read(client) }(b.ended)
	return nil
}

// stop ends it as a deployment that is scaled to zero does: what it has read is
// committed, and it leaves the group. It may be called again.
func (b *billing) stop() error {
	b.mu.Lock()
	client, ended := b.client, b.ended
	b.client = nil
	b.mu.Unlock()
	if client == nil {
		return nil
	}
	client.CloseAllowingRebalance()
	return <-ended
}

// read bills records until the client is closed.
func (b *billing) read(client *kgo.Client) error {
	ctx := context.Background() // the client's end is the loop's
	for {
		fetches := client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return nil
		}
		for _, failed := range fetches.Errors() {
			b.mu.Lock()
			b.trouble = fmt.Errorf("%s/%d: %w", failed.Topic, failed.Partition, failed.Err)
			b.mu.Unlock()
		}
		for record := range fetches.RecordsAll() {
			if err := b.handle(ctx, client, record); errors.Is(err, kgo.ErrClientClosed) {
				return nil // it comes again: it was not committed
			} else if err != nil {
				return err
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil && !errors.Is(err, kgo.ErrClientClosed) {
			b.mu.Lock()
			b.trouble = fmt.Errorf("commit: %w", err) // the records come again, and are dropped by their ids
			b.mu.Unlock()
		}
		client.AllowRebalance()
	}
}

// handle bills a record or hands it over. Its error is that it could do neither.
func (b *billing) handle(ctx context.Context, client *kgo.Client, record *kgo.Record) error {
	v := visit{id: header(record, "id"), attempt: 1, topic: record.Topic, at: time.Now()}
	if text := header(record, deadletter.Attempt); text != "" {
		attempt, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("header %s: %w", deadletter.Attempt, err)
		}
		v.attempt = attempt
	}
	b.mu.Lock()
	again := v.attempt <= b.handled[v.id]
	if again {
		b.again++
	}
	b.mu.Unlock()
	if again {
		return nil
	}

	var e event
	failure := json.Unmarshal(record.Value, &e)
	if failure == nil {
		failure = bill(e, v.attempt)
	}
	if failure != nil {
		failed, err := handOver(ctx, client, record, failure)
		if err != nil {
			return err
		}
		v.failed, v.class = failed, class(failure)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handled[v.id] = v.attempt
	if v.attempt > 1 || failure != nil {
		b.visits = append(b.visits, v)
	}
	if failure == nil {
		b.billed[e.Customer] = append(b.billed[e.Customer], e.Number)
	}
	return nil
}

// compare says what billing has not got right of the orders that were placed:
// each customer's numbers from 1 to its count, each once, in order. Except says
// which customers' events are not in order, or not to be billed.
func (b *billing) compare(placed map[string]int, except ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, customer := range slices.Sorted(maps.Keys(placed)) {
		if slices.Contains(except, customer) {
			continue
		}
		numbers := b.billed[customer]
		for i, number := range numbers {
			if number != i+1 {
				return fmt.Errorf("billing read order %d of %s where %d was next", number, customer, i+1)
			}
		}
		if len(numbers) != placed[customer] {
			return fmt.Errorf("billing has read %d of the %d orders of %s%s", len(numbers), placed[customer], customer, b.troubleWords())
		}
	}
	for customer := range b.billed {
		if placed[customer] == 0 {
			return fmt.Errorf("billing has read an order of %s, who has placed none", customer)
		}
	}
	return nil
}

func (b *billing) troubleWords() string {
	if b.trouble == nil {
		return ""
	}
	return fmt.Sprintf(" (its last trouble with Kafka: %v)", b.trouble)
}

// counts are how many events it has billed, and how many deliveries it has
// dropped because it had them before.
func (b *billing) counts() (billed, again int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, numbers := range b.billed {
		billed += len(numbers)
	}
	return billed, b.again
}

// visitsOf are the deliveries of an event that it has failed on.
func (b *billing) visitsOf(class string) []visit {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, v := range b.visits {
		if v.class == class {
			ids = append(ids, v.id)
		}
	}
	var found []visit
	for _, v := range b.visits {
		if slices.Contains(ids, v.id) {
			found = append(found, v)
		}
	}
	return found
}
