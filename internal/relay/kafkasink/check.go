package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay"
)

const (
	checkTimeout    = 5 * time.Second
	diagnoseTimeout = 1500 * time.Millisecond
)

// Check asks the cluster whether records for these topics would be taken: it
// can be reached, it is the right one, the topics exist and may be written. It
// returns nil if nothing speaks against it, and whether a problem concerns all.
func (s *Sink) Check(ctx context.Context, topics []string) (problem *relay.Problem, all bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	metadata, err := s.metadata(ctx, topics)
	if err != nil {
		return s.Explain(err), true
	}
	if want, have := s.options.Kafka.ClusterID, deref(metadata.ClusterID); want != "" && want != have {
		return &relay.Problem{Reason: ClusterIDMismatch, Message: fmt.Sprintf(
			"the brokers belong to cluster %q, the KafkaCluster names %q; correct spec.bootstrapServers or spec.clusterId", have, want)}, true
	}
	problem, n := s.topicProblem(metadata)
	if problem != nil && n == len(topics) {
		return problem, true
	}
	s.limits.set(s.readLimits(ctx, topics))
	return problem, false
}

// Learn reads how large a record of these topics may be, as far as the principal
// may read it, for Alone.
func (s *Sink) Learn(ctx context.Context, topics []string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s.limits.set(s.readLimits(ctx, topics))
}

// Diagnose implements relay.Sink.
func (s *Sink) Diagnose(ctx context.Context, record *kgo.Record) *relay.Problem {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	metadata, err := s.metadata(ctx, []string{record.Topic})
	if err != nil {
		return s.Explain(err)
	}
	if problem, _ := s.topicProblem(metadata); problem != nil {
		return problem
	}
	if dial := s.dialError.Load(); dial != nil {
		return &relay.Problem{Reason: KafkaUnreachable, Err: *dial, Message: fmt.Sprintf(
			"a broker that leads partitions of topic %q cannot be reached: %s", record.Topic, kafka.Cause(*dial))}
	}
	return nil
}

func (s *Sink) metadata(ctx context.Context, topics []string) (*kmsg.MetadataResponse, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true
	request.Topics = make([]kmsg.MetadataRequestTopic, 0, len(topics)) // empty, not nil, which would mean all
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		request.Topics = append(request.Topics, t)
	}
	return request.RequestWith(ctx, s.client)
}

// topicProblem is the first problem of the topics, and how many have one.
func (s *Sink) topicProblem(metadata *kmsg.MetadataResponse) (first *relay.Problem, n int) {
	for _, topic := range metadata.Topics {
		if problem := s.problemOf(topic); problem != nil {
			n++
			if first == nil {
				first = problem
			}
		}
	}
	return first, n
}

func (s *Sink) problemOf(topic kmsg.MetadataResponseTopic) *relay.Problem {
	name := deref(topic.Topic)
	err := kerr.ErrorForCode(topic.ErrorCode)
	if err == nil && !mayWrite(topic.AuthorizedOperations) {
		return s.unauthorized(name, kerr.TopicAuthorizationFailed)
	}
	for _, partition := range topic.Partitions {
		if now := kerr.ErrorForCode(partition.ErrorCode); err == nil && errors.Is(now, kerr.LeaderNotAvailable) {
			err = now
		}
	}
	if err == nil {
		return nil
	}
	problem, _ := s.explainTopic(name, err)
	return problem
}

// mayWrite reads the bit field of KIP-430. Brokers that do not fill it in
// leave the sentinel: then the first record will tell.
func mayWrite(operations int32) bool {
	const unknown = -1 << 31
	return operations == unknown || operations&(1<<kmsg.ACLOperationWrite) != 0
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
