package env_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/test/env"
)

func TestGateTakesTheBrokerAwayAndGivesItBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka, gate := env.SharedGate(t)
	topic := env.Unique("gate")
	admin := kadm.NewClient(kafka.Client(t, kafka.Admin))
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	described, err := admin.BrokerMetadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, broker := range append(brokers, described.Brokers...) {
		if !slices.Contains(gate.Bootstrap, address(broker)) {
			t.Errorf("a client sees the broker at %s, want it behind the gate at %v", address(broker), gate.Bootstrap)
		}
	}

	producer := kafka.Client(t, kafka.Admin, kgo.DefaultProduceTopic(topic))
	if err := producer.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	gate.Cut()
	if err := kafka.Client(t, kafka.Admin, kgo.RetryTimeout(time.Second)).Ping(ctx); err == nil {
		t.Error("a request went through a cut gate")
	}
	during := make(chan error, 1)
	producer.Produce(ctx, kgo.StringRecord("during"), func(_ *kgo.Record, err error) { during <- err })
	select {
	case err := <-during:
		t.Errorf("a record was answered by %v through a cut gate", err)
	case <-time.After(300 * time.Millisecond):
	}
	gate.Reopen(t)
	if err := <-during; err != nil {
		t.Errorf("the record that waited: %v", err)
	}

	consumer := kafka.Client(t, kafka.Admin, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(env.Unique("group")), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var values []string
	for len(values) < 2 {
		fetches := consumer.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			t.Fatalf("after %q: %v", values, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	if !slices.Equal(values, []string{"before", "during"}) {
		t.Errorf("got records %q, want before and during", values)
	}
}

func address(broker kadm.BrokerDetail) string {
	return net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
}
