// Package kafkasink is the relay's producer: acks=all, idempotent, in order
// per partition, with the Java client's partitioner. It also answers for the
// cluster before anything is produced (Check), and says in words what Kafka's
// errors mean to whoever runs the relay.
//
// It never gives up a record because the brokers are away: the client goes on
// trying, in order and without duplicates, and the engine says meanwhile why
// nothing moves.
package kafkasink

import (
	"context"
	"iter"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

const (
	// The pause between attempts is short, so that records flow soon after the
	// brokers are back.
	retryMin = 50 * time.Millisecond
	retryMax = 500 * time.Millisecond
	// metadataMinAge is how soon a moved partition or a new topic is noticed.
	metadataMinAge = 250 * time.Millisecond
	// unknownTopicRetries asks for the metadata of a missing topic so often
	// before the record fails: right after a creation, brokers may not know it yet.
	unknownTopicRetries = 3
	// maxBufferedRecords is more than a flight has.
	maxBufferedRecords = 1 << 20
)

// Options configures a Sink.
type Options struct {
	// Dir holds the files that Kafka names.
	Dir   string
	Kafka config.Kafka
	// ClientID is shown in the brokers' logs and quotas.
	ClientID string
	// Shared: the sink serves many engines at once, whose records owe one another
	// no order. Otherwise it serves one, and a flight is handed over whole before
	// its first byte is sent.
	Shared bool
	// Metrics receives the Kafka client's metrics (weir_kafka_client_…); nil
	// means none. One open Sink per registry.
	Metrics prometheus.Registerer
}

// Sink produces records. It is safe for concurrent use and implements relay.Sink.
type Sink struct {
	client *kgo.Client
	// wide sends the records that are alone: its batches may be larger than a topic
	// allows before they are compressed.
	wide    *kgo.Client
	options Options

	limits limits
	// ready is how many records of the flight wait for a Flush, and flushing is held
	// by that: while there is one, what is handed over is sent at once.
	ready    counter
	flushing sync.Mutex
	// dialError is what the last connection attempt met, nil if it succeeded.
	dialError atomic.Pointer[error]
}

var _ relay.Sink = (*Sink)(nil)

// New makes a Sink without touching the network. Close it.
func New(o Options) (*Sink, error) {
	s := &Sink{options: o}
	opts, err := relay.ConnectOptions(o.Dir, o.Kafka, o.ClientID)
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		// Law 1: acknowledged means that all in-sync replicas have it. The
		// client is idempotent unless told otherwise.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// With a nil hasher this hashes keys as the Java client does (murmur2).
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// Waiting for company only adds latency: while the first requests are
		// in flight, the rest of a source batch fills the next ones.
		kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(retryBackoff),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.UnknownTopicRetries(unknownTopicRetries),
		kgo.WithHooks(connectHook{&s.dialError}),
	)
	if s.wide, err = kgo.NewClient(append(slices.Clip(opts), kgo.ProducerBatchMaxBytes(mostMaxBytes))...); err != nil {
		return nil, err
	}
	opts = append(opts, kgo.ProducerBatchMaxBytesFn(s.limits.maxBytes))
	if !o.Shared {
		// A client fails everything that is buffered for a partition when one of its
		// batches is refused; what would be handed over after that would be published
		// past the refused one (law 3).
		opts = append(opts, kgo.ManualFlushing(), kgo.MaxBufferedRecords(maxBufferedRecords), kgo.WithHooks(partitionedHook{&s.ready}))
	}
	if o.Metrics != nil {
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("weir_kafka_client", kprom.Registerer(o.Metrics))))
	}
	if s.client, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	return s, nil
}

// Close gives up what is in flight and ends all connections.
func (s *Sink) Close() {
	s.client.Close()
	s.wide.Close()
}

// Send implements relay.Sink.
func (s *Sink) Send(ctx context.Context, records []*kgo.Record, done func(i int, err error)) {
	client := s.client
	if len(records) == 1 && s.Alone(records[0]) {
		client = s.wide
	}
	whole := !s.options.Shared && client == s.client
	if whole {
		s.flushing.Lock()
		s.ready.reset(len(records))
	}
	for i, record := range records {
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if whole && err != nil {
				s.ready.count("")
			}
			done(i, err)
		})
	}
	if whole {
		go s.flush(ctx)
	}
}

// flush sends what is buffered, once all of it is: the records of a topic that the
// client does not know yet come to their partitions one by one when it does.
func (s *Sink) flush(ctx context.Context) {
	defer s.flushing.Unlock()
	select {
	case <-s.ready.all():
	case <-ctx.Done():
		return
	}
	// The client shows a Flush the partitions of a topic that it did not know a
	// moment after their records have come to them.
	for topic := range s.ready.of() {
		for !s.knows(topic) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	_ = s.client.Flush(ctx) // it fails where ctx ends, and then each record says so
}

func retryBackoff(fails int) time.Duration {
	return min(retryMin<<min(fails, 8), retryMax)
}

// counter counts the records of a flight that are in the hands of the client, or
// have failed on their way. Safe for concurrent use.
type counter struct {
	mu     sync.Mutex
	left   int
	done   chan struct{}
	topics map[string]struct{} // of the records that are in the client's hands
}

func (c *counter) reset(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.done, c.topics = n, make(chan struct{}), map[string]struct{}{}
}

// count counts a record of a topic; empty where it has failed.
func (c *counter) count(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if topic != "" {
		c.topics[topic] = struct{}{}
	}
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// all is closed once every record was counted.
func (c *counter) all() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// of are the topics, in no order.
func (c *counter) of() iter.Seq[string] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Keys(maps.Clone(c.topics))
}

// partitionedHook counts records that are ready to be sent.
type partitionedHook struct{ *counter }

var _ kgo.HookProduceRecordPartitioned = partitionedHook{}

func (h partitionedHook) OnProduceRecordPartitioned(r *kgo.Record, _ int32) { h.count(r.Topic) }

// connectHook remembers how the last connection attempt ended.
type connectHook struct{ last *atomic.Pointer[error] }

var _ kgo.HookBrokerConnect = connectHook{}

func (h connectHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil {
		h.last.Store(nil)
		return
	}
	h.last.Store(&err)
}
