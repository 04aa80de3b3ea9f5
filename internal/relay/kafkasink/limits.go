package kafkasink

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/relay"
)

const (
	// defaultMaxBytes is assumed for a topic whose max.message.bytes the
	// principal may not read. Kafka's default is 1048588; less is safe.
	defaultMaxBytes = 1_000_012
	// mostMaxBytes is what fits into one request of the client, whatever the topic allows.
	mostMaxBytes = 90 << 20
	// limitInterval is how often the limit is read again that a record exceeds.
	limitInterval = 2 * time.Second
)

// limits are the topics' max.message.bytes, as far as they are known. The zero
// value knows none. Safe for concurrent use.
type limits struct {
	known atomic.Pointer[map[string]int32] // replaced, never changed: it is read for every record
	write sync.Mutex
	asked time.Time // guarded by write
}

func (l *limits) get(topic string) (limit int32, known bool) {
	if all := l.known.Load(); all != nil {
		limit, known = (*all)[topic]
	}
	return limit, known
}

func (l *limits) maxBytes(topic string) int32 {
	if limit, known := l.get(topic); known {
		return min(limit, mostMaxBytes)
	}
	return defaultMaxBytes
}

// set adds or replaces limits.
func (l *limits) set(limits map[string]int32) {
	l.write.Lock()
	defer l.write.Unlock()
	merged := map[string]int32{}
	if all := l.known.Load(); all != nil {
		maps.Copy(merged, *all)
	}
	maps.Copy(merged, limits)
	l.known.Store(&merged)
}

// mayAsk reports, once an interval, that it is time to read a limit again.
func (l *limits) mayAsk() bool {
	l.write.Lock()
	defer l.write.Unlock()
	if time.Since(l.asked) < limitInterval {
		return false
	}
	l.asked = time.Now()
	return true
}

// Refuse implements relay.Sink. The broker judges a record after compression, so that
// only what the client cannot send is refused before.
func (s *Sink) Refuse(record *kgo.Record) error {
	if batchBytes(record) <= mostMaxBytes {
		return nil
	}
	return fmt.Errorf("it makes a record of up to %d bytes, and no more than %d can be sent: make the row smaller", batchBytes(record), mostMaxBytes)
}

// Alone implements relay.Sink: a record that is larger than its topic's limit may be
// smaller once it is compressed, which the broker has to judge, and others with it
// would be refused for it.
func (s *Sink) Alone(record *kgo.Record) bool {
	return batchBytes(record) > int64(s.limits.maxBytes(record.Topic))
}

// tooLarge judges a record, or a batch, that the broker found larger than its topic
// allows. The Kafka client learns a topic's limit once; where that has changed, a
// new Sink is needed.
func (s *Sink) tooLarge(topic string, err error) (relay.Verdict, *relay.Problem) {
	limit, known := s.limits.get(topic)
	if s.limits.mayAsk() {
		ctx, cancel := context.WithTimeout(context.Background(), diagnoseTimeout)
		defer cancel()
		if now, ok := s.readLimits(ctx, []string{topic})[topic]; ok && known && now != limit {
			return relay.Broken, &relay.Problem{Reason: TopicLimitChanged, Broken: true, Err: err, Message: fmt.Sprintf(
				"max.message.bytes of topic %q has changed; the producer starts again", topic)}
		}
	}
	takes := ""
	if known {
		takes = fmt.Sprintf(", %d bytes after compression", limit)
	}
	return relay.Refused, &relay.Problem{Reason: RecordRefused, Err: err, Message: fmt.Sprintf(
		"it makes a record that is larger than topic %q takes%s: raise max.message.bytes in spec.config of its Topic, or make the row smaller", topic, takes)}
}

// readLimits reads the topics' max.message.bytes where the principal may
// (DESCRIBE_CONFIGS); the others are missing from the answer.
func (s *Sink) readLimits(ctx context.Context, topics []string) map[string]int32 {
	const key = "max.message.bytes"
	request := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
		request.Resources = append(request.Resources, r)
	}
	limits := map[string]int32{}
	if len(topics) == 0 {
		return limits
	}
	response, err := request.RequestWith(ctx, s.client)
	if err != nil {
		return limits
	}
	for _, resource := range response.Resources {
		for _, c := range resource.Configs {
			if limit, err := strconv.ParseInt(deref(c.Value), 10, 32); c.Name == key && err == nil {
				limits[resource.ResourceName] = int32(limit)
			}
		}
	}
	return limits
}

// batchBytes is an upper bound of the size of a batch with only this record,
// uncompressed: Kafka's record format v2 with varints at their widest.
func batchBytes(r *kgo.Record) int64 {
	const (
		batchOverhead  = 65
		recordOverhead = 1 + 5 + 10 + 5 + 5 + 5 + 5 // attributes; length, timestamp, offset, key, value, headers
		headerOverhead = 5 + 5                      // lengths of key and value
	)
	size := int64(batchOverhead + recordOverhead + len(r.Key) + len(r.Value))
	for _, h := range r.Headers {
		size += int64(headerOverhead + len(h.Key) + len(h.Value))
	}
	return size
}
