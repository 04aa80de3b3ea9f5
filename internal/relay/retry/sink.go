package retry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
)

// sink is the relay's producer; what it says about topics is for those who
// run Weir, since the topics and the principal are Weir's own.
type sink struct {
	*kafkasink.Sink
	dir string
	r   *config.Retry
}

// Judge implements relay.Sink.
func (s sink) Judge(record *kgo.Record, err error) (relay.Verdict, *relay.Problem) {
	verdict, problem := s.Sink.Judge(record, err)
	return verdict, s.ofOurTopics(record.Topic, problem)
}

// Diagnose implements relay.Sink.
func (s sink) Diagnose(ctx context.Context, record *kgo.Record) *relay.Problem {
	return s.ofOurTopics(record.Topic, s.Sink.Diagnose(ctx, record))
}

// ofOurTopics says of a problem of a topic what those who run Weir can do.
func (s sink) ofOurTopics(topic string, problem *relay.Problem) *relay.Problem {
	switch {
	case problem == nil:
		return nil
	case problem.Reason == kafkasink.TopicNotFound:
		return topicNotFound(topic)
	case problem.Reason == kafkasink.TopicUnauthorized:
		return topicUnauthorized(s.principal(), "WRITE", topic)
	}
	return problem
}

// explainGroup says what an error of the consumer group, or of a commit, means.
func (s sink) explainGroup(err error) *relay.Problem {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &relay.Problem{Reason: kafkasink.TopicUnauthorized, Err: err, Message: fmt.Sprintf(
			"the worker needs READ and DESCRIBE on the topics that it reads: %v", err)}
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return &relay.Problem{Reason: groupUnauthorized, Err: err, Message: fmt.Sprintf(
			"%s may not use the consumer group %q; it needs READ and DESCRIBE on the group", s.principal(), s.r.ConsumerGroup)}
	}
	return s.Explain(err)
}

// groupUnauthorized is a reason beside those of kafkasink.
const groupUnauthorized = "GroupUnauthorized"

func topicNotFound(topic string) *relay.Problem {
	return &relay.Problem{Reason: kafkasink.TopicNotFound, Message: fmt.Sprintf(
		"topic %q does not exist; Weir's operator makes it: see the conditions of the ConsumerGroup", topic)}
}

func topicUnauthorized(principal, operations, topic string) *relay.Problem {
	return &relay.Problem{Reason: kafkasink.TopicUnauthorized, Message: fmt.Sprintf(
		"%s needs %s and DESCRIBE on topic %q", principal, operations, topic)}
}

// principal names who the worker is to Kafka.
func (s sink) principal() string {
	sasl := s.r.Kafka.SASL
	if sasl == nil {
		return "the client certificate's principal"
	}
	name, err := os.ReadFile(filepath.Join(s.dir, sasl.UsernameFile))
	if err != nil {
		return "the worker's principal"
	}
	return "User:" + strings.TrimSpace(string(name))
}
