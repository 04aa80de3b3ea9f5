package kafkasink

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/relay/config"
)

// Law 3: nothing is published past a record that the broker refuses while the flight
// is still being handed over, also not where the client does not know the topic yet.
func TestNothingOvertakesARefusedRecord(t *testing.T) {
	t.Parallel()
	const flights, length = 200, 2000
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("topic known: %t", known), func(t *testing.T) {
			t.Parallel()
			var topics []string
			for i := range flights {
				topics = append(topics, fmt.Sprint("topic-", i))
			}
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			var refuse atomic.Bool
			cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if !refuse.CompareAndSwap(true, false) {
					return nil, nil, false
				}
				return refused(request.(*kmsg.ProduceRequest)), nil, true
			})
			s, err := New(Options{Kafka: config.Kafka{BootstrapServers: cluster.ListenAddrs()}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i := range flights {
				topic := topics[0]
				if !known {
					topic = topics[i]
				}
				refuse.Store(true)
				if first, past := s.fly(t, topic, length); first < 0 || past > 0 {
					t.Fatalf("flight %d: record %d was refused, and %d of its key were published past it", i, first, past)
				}
			}
		})
	}
}

// refused is the answer of a broker to a batch with a record that it does not take.
func refused(request *kmsg.ProduceRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range request.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, kerr.InvalidRecord.Code
			t.Partitions = append(t.Partitions, p)
		}
		response.Topics = append(response.Topics, t)
	}
	return response
}

// fly sends records of one key, and returns the first that failed, and how many
// behind it did not.
func (s *Sink) fly(t *testing.T, topic string, n int) (first, past int) {
	t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: []byte("K"), Value: fmt.Append(nil, i)}
	}
	var mu sync.Mutex
	outcomes := map[int]error{}
	landed := make(chan struct{})
	s.Send(t.Context(), records, func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if outcomes[i] = err; len(outcomes) == n {
			close(landed)
		}
	})
	select {
	case <-landed:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d of %d records have an outcome", len(outcomes), n)
	}
	first = -1
	for i := range n {
		switch {
		case outcomes[i] != nil && first < 0:
			first = i
		case outcomes[i] == nil && first >= 0:
			past++
		}
	}
	return first, past
}
