package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay"
)

// Reasons of a Problem that the sink reports.
const (
	KafkaUnreachable  = "KafkaUnreachable"
	KafkaUnauthorized = "KafkaUnauthorized"
	KafkaError        = "KafkaError"
	ClusterIDMismatch = "ClusterIDMismatch"
	TopicNotFound     = "TopicNotFound"
	TopicUnauthorized = "TopicUnauthorized"
	TopicUnavailable  = "TopicUnavailable"
	TopicLimitChanged = "TopicLimitChanged"
	RecordRefused     = "RecordRefused"
)

// refusals are what a broker answers to a record, or to a batch for one of its
// records, that it will never take.
var refusals = []*kerr.Error{
	kerr.InvalidRecord, kerr.InvalidTimestamp,
	kerr.UnsupportedForMessageFormat, kerr.PolicyViolation, kerr.InvalidTopicException,
}

// Judge implements relay.Sink. It is the one place that knows what the errors of a
// producer mean.
func (s *Sink) Judge(record *kgo.Record, err error) (relay.Verdict, *relay.Problem) {
	topic := record.Topic
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return s.tooLarge(topic, err)
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return relay.Refused, &relay.Problem{Reason: RecordRefused, Err: err, Message: fmt.Sprintf("topic %q does not take its record: %s", topic, kafka.Cause(err))}
		}
	}
	problem, aboutTopic := s.explainTopic(topic, err)
	switch {
	case !aboutTopic:
		// The producer itself is in a state that it may not leave, such as having
		// been refused a producer ID.
		problem.Broken = true
		return relay.Broken, problem
	case problem.Reason == TopicNotFound && s.knows(topic):
		// A producer that knew the topic may not take to another one of that
		// name, and must not number its records as if it were the same.
		problem.Broken = true
		return relay.Broken, problem
	default:
		return relay.Again, problem
	}
}

// knows says whether the client has known a topic.
func (s *Sink) knows(topic string) bool {
	leader, _, err := s.client.PartitionLeader(topic, 0)
	return leader >= 0 || err != nil
}

// explainTopic says what an error means, and whether it is about the topic.
func (s *Sink) explainTopic(topic string, err error) (problem *relay.Problem, aboutTopic bool) {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return &relay.Problem{Reason: TopicNotFound, Err: err, Message: fmt.Sprintf(
			"topic %q does not exist; create it with a Topic resource, or correct the route", topic)}, true
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return s.unauthorized(topic, err), true
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend),
		errors.Is(err, kerr.LeaderNotAvailable):
		return &relay.Problem{Reason: TopicUnavailable, Err: err, Message: fmt.Sprintf(
			"topic %q takes no records now: %s", topic, kafka.Cause(err))}, true
	default:
		return s.Explain(err), false
	}
}

func (s *Sink) unauthorized(topic string, err error) *relay.Problem {
	if granted := s.options.Kafka.Principal; s.options.Kafka.SASL != nil && granted != "" && granted != s.principal() {
		return &relay.Problem{Reason: KafkaUnauthorized, Err: err, Message: fmt.Sprintf(
			"the Secret with the Kafka credentials authenticates as %s, and the grants are for spec.kafka.principal, %s: make them the same",
			s.principal(), granted)}
	}
	return &relay.Problem{Reason: TopicUnauthorized, Err: err, Message: fmt.Sprintf(
		"%s may not produce to topic %q; it needs WRITE and DESCRIBE on the topic: "+
			"add it with allow: [Produce] to spec.access of the Topic", s.principal(), topic)}
}

// Explain says what an error means that is not about one topic.
func (s *Sink) Explain(err error) *relay.Problem {
	servers := strings.Join(s.options.Kafka.BootstrapServers, ",")
	classified := kafka.Classify(err)
	cause := s.cause(err)
	switch classified.Reason {
	case kafka.Unauthorized:
		return &relay.Problem{Reason: KafkaUnauthorized, Err: err, Message: fmt.Sprintf(
			"the brokers at %s refuse %s; check username and password in the Secret with its credentials: %s", servers, s.principal(), cause)}
	case kafka.Unreachable:
		return &relay.Problem{Reason: KafkaUnreachable, Err: err, Message: fmt.Sprintf(
			"no broker at %s can be reached: %s", servers, cause)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &relay.Problem{Reason: KafkaUnreachable, Err: err, Message: fmt.Sprintf(
			"no broker at %s answers in time: %s", servers, cause)}
	}
	return &relay.Problem{Reason: KafkaError, Err: err, Message: classified.Message}
}

// cause says in words that stay the same what an error is. It prefers what the
// last connection attempt met over a deadline that passed while it was tried
// again and again.
func (s *Sink) cause(err error) string {
	if dial := s.dialError.Load(); dial != nil && errors.Is(err, context.DeadlineExceeded) {
		err = *dial
	}
	return kafka.Cause(err)
}

// principal names who the relay is to Kafka.
func (s *Sink) principal() string {
	sasl := s.options.Kafka.SASL
	if sasl == nil {
		return "the client certificate's principal"
	}
	name, err := os.ReadFile(filepath.Join(s.options.Dir, sasl.UsernameFile))
	if err != nil {
		return "the relay's principal"
	}
	return "User:" + kafka.SecretText(name)
}
