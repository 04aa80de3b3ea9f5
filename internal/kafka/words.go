package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Cause says in a few words what went wrong. They are words of its own, but for
// those with which Kafka answers for one item of a request: the texts of
// drivers and parsers may quote what they have seen of a password, and they
// name ports and addresses that are others at each attempt, while a condition
// must not change as long as the situation is the same.
func Cause(err error) string {
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified.Message
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.Error()
	}
	if code, ok := errors.AsType[*kerr.Error](err); ok {
		return code.Message + ": " + code.Description
	}
	return connectionCause(err)
}

// connectionCause is Cause for an error that is no answer of a broker.
func connectionCause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "no such host as " + dns.Name
		}
		return "the name " + dns.Name + " cannot be resolved now"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the brokers' certificate is signed by an authority that is not known"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the brokers' certificate is for another host name"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the brokers' certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what answers does not speak TLS"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return "the connection is closed at once, as where the brokers want TLS or SASL and the client has none, or the other way round"
	}
	switch {
	case errors.Is(err, errNoAnswer), errors.Is(err, errNotShown), errors.Is(err, errExists):
		return err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "it was called off"
	case errors.Is(err, kgo.ErrClientClosed), errors.Is(err, net.ErrClosed):
		return "the connection was closed meanwhile"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the broker closed the connection"
	case kgo.IsRetryableBrokerErr(err):
		return "the broker cannot be talked to now"
	default:
		return "what answers may not speak Kafka, or may want TLS, or another way to authenticate"
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// refusal is Kafka's answer for one item of a request: the code, and Kafka's
// own words where it sent some.
type refusal struct {
	code  *kerr.Error
	words string
}

func (r *refusal) Error() string { return r.code.Message + ": " + r.words }
func (r *refusal) Unwrap() error { return r.code }

// codeError returns nil for code 0, otherwise a *refusal.
func codeError(code int16, words *string) error {
	err := kerr.TypedErrorForCode(code)
	switch {
	case err == nil:
		return nil
	case words == nil, *words == "", isAuthorization(err): // these name Kafka's own objects
		return &refusal{err, err.Description}
	default:
		return &refusal{err, *words}
	}
}

// action is a request in words, for the message of its failure.
type action struct {
	cluster *Cluster // whose request it is
	// doing is what was being done, with the object's name: "create topic a".
	doing string
	// needs is what the request takes.
	needs right
}

// failed returns err as a *Error that says what was being done; nil for nil.
func (a action) failed(err error) error {
	if err == nil {
		return nil
	}
	is := Classify(err)
	message := is.Message
	own, classified := errors.AsType[*Error](err)
	switch {
	case isAuthorization(err) && a.needs.operations != nil:
		message = a.doing + ": " + a.needs.missing(a.cluster.who())
	case isAuthentication(err):
		message = a.cluster.refusedWords()
	case classified && own.Reason != Unreachable:
		message = a.doing + ": " + message
	case classified:
	case errors.Is(err, kgo.ErrClientClosed), is.Reason == Unreachable && answeredBy(err):
		message = a.doing + ": " + message
	case is.Reason == Unreachable:
		message = fmt.Sprintf("no broker answers at %s (%s); Weir keeps trying", a.cluster.servers(), message)
	default:
		message = a.doing + ": " + message
	}
	return &Error{Class: is.Class, Reason: is.Reason, Message: message, Err: err}
}

// refused returns what one item's code and Kafka's own words say; nil for code 0.
func (a action) refused(code int16, words *string) error {
	return a.failed(codeError(code, words))
}

// answeredBy says whether a broker answered, if only that it cannot serve.
func answeredBy(err error) bool {
	_, code := errors.AsType[*kerr.Error](err)
	return code || errors.Is(err, errNoAnswer)
}

// right is an ACL that a request needs.
type right struct {
	operations []string // in Kafka's spelling: ALTER_CONFIGS
	resource   string   // Topic, Group or Cluster
	name       string   // empty for the cluster
}

func on(resource, name string, operations ...string) right {
	return right{operations, resource, name}
}

func onCluster(operation string) right { return right{[]string{operation}, ResourceCluster, ""} }

// missing says that a principal lacks the right, and how it gets it: for all
// resources of the kind, since Weir works on all of them.
func (r right) missing(principal string) string {
	where := r.resource + " " + r.name
	flag := "--" + strings.ToLower(r.resource) + " '*'"
	if r.resource == ResourceCluster {
		where, flag = "the Cluster", "--cluster"
	}
	message := fmt.Sprintf("%s needs %s on %s", orWeir(principal), strings.Join(r.operations, " and "), where)
	if principal == "" {
		return message
	}
	var operations strings.Builder
	for _, operation := range r.operations {
		operations.WriteString(" --operation " + toolSpelling(operation))
	}
	return fmt.Sprintf("%s; run: kafka-acls --add --allow-principal %s%s %s", message, principal, operations.String(), flag)
}

func orWeir(principal string) string {
	if principal == "" {
		return "Weir's principal"
	}
	return principal
}

// toolSpelling is how kafka-acls spells an operation: AlterConfigs.
func toolSpelling(operation string) string {
	var spelled strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(operation), "_") {
		spelled.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return spelled.String()
}

func isAuthorization(err error) bool {
	return errors.Is(err, kerr.ClusterAuthorizationFailed) ||
		errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

func isAuthentication(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}
