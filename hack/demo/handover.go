package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
)

// failure is why an event could not be billed.
type failure struct{ class, message string }

func (f failure) Error() string { return f.class + ": " + f.message }

// class is the error class that a policy knows.
func class(err error) string {
	var f failure
	if errors.As(err, &f) {
		return f.class
	}
	return "DeserializationError"
}

func message(err error) string {
	var f failure
	if errors.As(err, &f) {
		return f.message
	}
	return err.Error()
}

// What an order is paid by decides how billing it goes.
const (
	paidByCard    = "card"
	gatewayTwice  = "gateway is down twice" // a transient error at the attempts 1 and 2
	unknownTender = "unknown tender"        // a permanent error
)

func bill(e event, attempt int) error {
	switch {
	case e.Payment == gatewayTwice && attempt <= 2:
		return failure{"PaymentGatewayTimeout", "no answer from the payment gateway in 2s"}
	case e.Payment == unknownTender:
		return failure{"TenderSchemaException", "tender is of no known kind"}
	}
	return nil
}

// handOver gives a record that could not be billed to Weir, and returns when
// Kafka has it: the record as it is, and what went wrong.
func handOver(ctx context.Context, client *kgo.Client, record *kgo.Record, failure error) (time.Time, error) {
	headers := slices.Clone(record.Headers)
	add := func(key, value string) { headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)}) }
	if header(record, deadletter.OriginalTopic) == "" {
		add(deadletter.OriginalTopic, record.Topic)
		add(deadletter.OriginalPartition, strconv.Itoa(int(record.Partition)))
		add(deadletter.OriginalOffset, strconv.FormatInt(record.Offset, 10))
	}
	add(deadletter.ErrorClass, class(failure))
	add(deadletter.ErrorMessage, message(failure))
	failed := &kgo.Record{Topic: deadletter.Failed(billingGroup), Key: record.Key, Value: record.Value, Headers: headers, Timestamp: record.Timestamp}
	err := client.ProduceSync(ctx, failed).FirstErr()
	return time.Now(), err
}

// header is the record's last header of that name.
func header(record *kgo.Record, name string) string {
	for _, h := range slices.Backward(record.Headers) {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
