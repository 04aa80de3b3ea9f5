package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Class says what the caller should do about an error.
type Class uint8

const (
	// Transient errors may pass by themselves: try again with backoff. It is
	// the zero value, so that an error nobody judged is never final.
	Transient Class = iota
	// Rejected means that the same request will be refused again until
	// somebody changes the spec, the cluster or the operator's rights.
	Rejected
)

// String returns "Transient" or "Rejected".
func (c Class) String() string {
	if c == Rejected {
		return "Rejected"
	}
	return "Transient"
}

// Reasons, fit for the reason of a condition.
const (
	// Unreachable: no broker could be talked to.
	Unreachable = "Unreachable"
	// Unauthorized: authentication failed, or the principal lacks an ACL.
	Unauthorized = "Unauthorized"
	// AuthorizerDisabled: the cluster has no authorizer, so there are no ACLs.
	AuthorizerDisabled = "AuthorizerDisabled"
	// InvalidConnection: the Config cannot be used.
	InvalidConnection = "InvalidConnection"
	// InvalidConfig: Kafka refused a topic's config key or value.
	InvalidConfig = "InvalidConfig"
	// InvalidTopicName: Kafka refused the name of a topic.
	InvalidTopicName = "InvalidTopicName"
	// InvalidPartitions: Kafka refused the number of partitions.
	InvalidPartitions = "InvalidPartitions"
	// InvalidReplicationFactor: more replicas than brokers, or fewer than one.
	InvalidReplicationFactor = "InvalidReplicationFactor"
	// PolicyViolation: a policy of the cluster forbids the request.
	PolicyViolation = "PolicyViolation"
	// TopicNotFound: the topic does not exist, or not on this broker yet.
	TopicNotFound = "TopicNotFound"
	// TopicDeletionDisabled: the brokers run with delete.topic.enable=false.
	TopicDeletionDisabled = "TopicDeletionDisabled"
	// UnsupportedVersion: the brokers are too old for the request.
	UnsupportedVersion = "UnsupportedVersion"
	// InvalidRequest: Kafka refused the request for a reason of its own.
	InvalidRequest = "InvalidRequest"
	// PartitionsNotShrinkable: the topic has more partitions than the spec.
	PartitionsNotShrinkable = "PartitionsNotShrinkable"
	// ReplicasImmutable: the topic has another number of replicas than the spec.
	ReplicasImmutable = "ReplicasImmutable"
	// ClusterIDMismatch: the brokers belong to another cluster than expected.
	ClusterIDMismatch = "ClusterIdMismatch"
	// ReservedName: the topic is Kafka's own.
	ReservedName = "ReservedName"
	// KafkaError: anything else that Kafka or the client reported.
	KafkaError = "KafkaError"
)

// Error is what went wrong with a cluster, decided once, here.
type Error struct {
	Class Class
	// Reason is CamelCase, fit for a condition: one of the constants above, or
	// what SASL.Credentials chose.
	Reason string
	// Message is one sentence that says what was being done and what came in the
	// way, with the cure where one is known. While the situation is the same it
	// is too. No secrets.
	Message string
	// Err is the cause; nil where the package itself refused.
	Err error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Classify says what err means. It returns nil for nil, the *Error that err
// wraps if there is one (the first, where several are joined), and otherwise
// decides by the errors' types and codes, never by their text. What it does
// not know is Transient.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified
	}
	class, reason := judge(err)
	return &Error{Class: class, Reason: reason, Message: Cause(err), Err: err}
}

// verdicts judge Kafka's error codes that mean more than "try again".
//
// UNKNOWN_TOPIC_OR_PARTITION counts as retriable in kerr, which is right right
// after a creation; the calls for which absence is an answer test it first.
var verdicts = map[*kerr.Error]struct {
	class  Class
	reason string
}{
	kerr.SaslAuthenticationFailed:           {Rejected, Unauthorized},
	kerr.UnsupportedSaslMechanism:           {Rejected, Unauthorized},
	kerr.IllegalSaslState:                   {Rejected, Unauthorized},
	kerr.ClusterAuthorizationFailed:         {Rejected, Unauthorized},
	kerr.TopicAuthorizationFailed:           {Rejected, Unauthorized},
	kerr.GroupAuthorizationFailed:           {Rejected, Unauthorized},
	kerr.TransactionalIDAuthorizationFailed: {Rejected, Unauthorized},
	kerr.SecurityDisabled:                   {Rejected, AuthorizerDisabled},
	kerr.InvalidConfig:                      {Rejected, InvalidConfig},
	kerr.InvalidTopicException:              {Rejected, InvalidTopicName},
	kerr.InvalidPartitions:                  {Rejected, InvalidPartitions},
	kerr.InvalidReplicationFactor:           {Rejected, InvalidReplicationFactor},
	kerr.PolicyViolation:                    {Rejected, PolicyViolation},
	kerr.TopicDeletionDisabled:              {Rejected, TopicDeletionDisabled},
	kerr.UnsupportedVersion:                 {Rejected, UnsupportedVersion},
	kerr.InvalidRequest:                     {Rejected, InvalidRequest},
	kerr.UnknownTopicOrPartition:            {Transient, TopicNotFound},
	kerr.UnknownTopicID:                     {Transient, TopicNotFound},
	kerr.BrokerNotAvailable:                 {Transient, Unreachable},
	kerr.NetworkException:                   {Transient, Unreachable},
	kerr.RequestTimedOut:                    {Transient, Unreachable},
}

func judge(err error) (Class, string) {
	if code, ok := errors.AsType[*kerr.Error](err); ok {
		if verdict, ok := verdicts[code]; ok {
			return verdict.class, verdict.reason
		}
		return Transient, KafkaError
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return Transient, Unreachable
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Transient, Unreachable
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return Transient, Unreachable
	}
	if kgo.IsRetryableBrokerErr(err) {
		return Transient, Unreachable
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, kgo.ErrClientClosed, context.DeadlineExceeded} {
		if errors.Is(err, broken) {
			return Transient, Unreachable
		}
	}
	return Transient, KafkaError
}

// together makes one error of the failures of independent steps; nil where
// there are none. It is transient while any of them is, so that what may pass
// is tried again soon, and says them all.
func together(errs []error) error {
	var failures []*Error
	for _, err := range errs {
		if err != nil {
			failures = append(failures, Classify(err))
		}
	}
	if len(failures) == 0 {
		return nil
	}
	slices.SortStableFunc(failures, func(a, b *Error) int { return cmp.Compare(a.Class, b.Class) })
	if len(failures) == 1 {
		return failures[0]
	}
	var messages []string
	for _, failure := range failures {
		if !slices.Contains(messages, failure.Message) {
			messages = append(messages, failure.Message)
		}
	}
	return &Error{
		Class: failures[0].Class, Reason: failures[0].Reason,
		Message: strings.Join(messages, "; "), Err: errors.Join(errs...),
	}
}
