package kafkasink

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

// TestPartitionsAsTheJavaClient checks against the hashes in Apache Kafka's own
// org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestPartitionsAsTheJavaClient(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Kafka: config.Kafka{BootstrapServers: []string{"127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	partitioner := s.client.OptValue(kgo.RecordPartitioner).(kgo.Partitioner).ForTopic("orders")
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, partitions := range []int{1, 3, 12, 97} {
			want := int(hash&0x7fffffff) % partitions
			if got := partitioner.Partition(&kgo.Record{Key: []byte(key)}, partitions); got != want {
				t.Errorf("key %q of %d partitions: got %d, want %d", key, partitions, got, want)
			}
		}
	}
}

// TestProducerKeepsTheFirstLaw checks the options that law 1 rests on.
func TestProducerKeepsTheFirstLaw(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Kafka: config.Kafka{BootstrapServers: []string{"127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if acks := s.client.OptValue(kgo.RequiredAcks); acks != kgo.AllISRAcks() {
		t.Errorf("acks are %v, want all in-sync replicas", acks)
	}
	if disabled := s.client.OptValue(kgo.DisableIdempotentWrite); disabled != false {
		t.Error("the producer is not idempotent")
	}
	if allowed := s.client.OptValue(kgo.AllowIdempotentProduceCancellation); allowed != false {
		t.Error("a record that may have been written can be given up")
	}
}

// TestBatchBytes checks that the bound is one: never below what a record takes.
func TestBatchBytes(t *testing.T) {
	t.Parallel()
	record := &kgo.Record{Key: []byte("key"), Value: make([]byte, 1000), Headers: []kgo.RecordHeader{{Key: "id", Value: []byte("1")}}}
	const least = 61 + 7 + 3 + 1000 + 2 + 1 + 4 // batch header, record with one-byte varints, two of them wider
	if got := batchBytes(record); got < least || got > least+100 {
		t.Errorf("got %d bytes, want between %d and %d", got, least, least+100)
	}
}

func TestTooLargeForTheTopic(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Kafka: config.Kafka{BootstrapServers: []string{"127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.limits.set(map[string]int32{"small": 500, "large": 2 << 20})
	for _, test := range []struct {
		topic  string
		bytes  int
		alone  bool
		refuse string
	}{
		{"small", 300, false, ""},
		{"small", 500, true, ""},
		{"large", 2_000_000, false, ""},
		{"large", 3_000_000, true, ""},
		{"unknown", 900_000, false, ""},
		{"unknown", 1_000_000, true, ""},
		{"large", 95_000_000, true, "it makes a record of up to 95000101 bytes, and no more than 94371840 can be sent: make the row smaller"},
	} {
		record := &kgo.Record{Topic: test.topic, Value: make([]byte, test.bytes)}
		got := ""
		if err := s.Refuse(record); err != nil {
			got = err.Error()
		}
		if alone := s.Alone(record); got != test.refuse || alone != test.alone {
			t.Errorf("%d bytes to %s: alone %t, refused for %q; want %t, %q", test.bytes, test.topic, alone, got, test.alone, test.refuse)
		}
	}
	for topic, want := range map[string]string{
		"small":   `it makes a record that is larger than topic "small" takes, 500 bytes after compression: raise max.message.bytes in spec.config of its Topic, or make the row smaller`,
		"unknown": `it makes a record that is larger than topic "unknown" takes: raise max.message.bytes in spec.config of its Topic, or make the row smaller`,
	} {
		if verdict, problem := s.Judge(&kgo.Record{Topic: topic}, kerr.MessageTooLarge); verdict != relay.Refused || problem.Message != want {
			t.Errorf("verdict %d, problem %+v", verdict, problem)
		}
	}
}

// What a driver says of a connection is not passed on: it may quote what it has
// seen of a password, and it names what is another thing at each attempt.
func TestProblemsAreOfOurOwnWords(t *testing.T) {
	t.Parallel()
	const canary = "s3cretcanary"
	s := &Sink{options: Options{Kafka: config.Kafka{BootstrapServers: []string{"kafka:9092"}}}}
	for want, err := range map[string]error{
		"KafkaUnreachable: no broker at kafka:9092 can be reached: the name kafka cannot be resolved now": &net.DNSError{Err: "read udp 10.0.0.1:12345", Name: "kafka", Server: canary},
		"KafkaUnreachable: no broker at kafka:9092 can be reached: connection refused":                    &net.OpError{Op: "dial", Source: &net.TCPAddr{Port: 12345}, Err: syscall.ECONNREFUSED},
		"KafkaUnauthorized: the brokers at kafka:9092 refuse the client certificate's principal; check username and password in the Secret with its credentials: " +
			"SASL_AUTHENTICATION_FAILED: SASL Authentication failed.": fmt.Errorf("%s: %w", canary, kerr.SaslAuthenticationFailed),
		"KafkaError: what answers may not speak Kafka, or may want TLS, or another way to authenticate": errors.New("server signature mismatch: " + canary),
	} {
		if got := s.Explain(err).Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
