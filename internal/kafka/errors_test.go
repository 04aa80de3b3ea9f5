package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	own := &Error{Class: Rejected, Reason: "SecretNotFound", Message: "Secret weir-kafka does not exist"}
	for _, test := range []struct {
		reason string
		err    error
		class  Class
		want   string
	}{
		{"wrong credentials", kerr.SaslAuthenticationFailed, Rejected, Unauthorized},
		{"the broker lacks the mechanism", kerr.UnsupportedSaslMechanism, Rejected, Unauthorized},
		{"no right on the cluster", kerr.ClusterAuthorizationFailed, Rejected, Unauthorized},
		{"no right on a topic", kerr.TopicAuthorizationFailed, Rejected, Unauthorized},
		{"no right on a group", kerr.GroupAuthorizationFailed, Rejected, Unauthorized},
		{"no authorizer", kerr.SecurityDisabled, Rejected, AuthorizerDisabled},
		{"a config that Kafka does not know", kerr.InvalidConfig, Rejected, InvalidConfig},
		{"a name that Kafka does not take", kerr.InvalidTopicException, Rejected, InvalidTopicName},
		{"a number of partitions that Kafka does not take", kerr.InvalidPartitions, Rejected, InvalidPartitions},
		{"more replicas than brokers", kerr.InvalidReplicationFactor, Rejected, InvalidReplicationFactor},
		{"a policy of the cluster", kerr.PolicyViolation, Rejected, PolicyViolation},
		{"deletion is off", kerr.TopicDeletionDisabled, Rejected, TopicDeletionDisabled},
		{"an old broker", kerr.UnsupportedVersion, Rejected, UnsupportedVersion},
		{"a malformed request", kerr.InvalidRequest, Rejected, InvalidRequest},
		{"absence may be news that did not arrive yet", kerr.UnknownTopicOrPartition, Transient, TopicNotFound},
		{"a broker that waits for the controller", kerr.RequestTimedOut, Transient, Unreachable},
		{"a leader moves", kerr.NotLeaderForPartition, Transient, KafkaError},
		{"a code that nobody judged is never final", kerr.UnknownServerError, Transient, KafkaError},
		{"wrapped", fmt.Errorf("unable to initialize: %w", kerr.SaslAuthenticationFailed), Rejected, Unauthorized},
		{"refused connection", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, Transient, Unreachable},
		{"unknown host", &net.DNSError{Err: "no such host", Name: "kafka", IsNotFound: true}, Transient, Unreachable},
		{"unknown authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Transient, Unreachable},
		{"TLS to a plaintext port", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Transient, Unreachable},
		{"closed connection", io.EOF, Transient, Unreachable},
		{"closed client", kgo.ErrClientClosed, Transient, Unreachable},
		{"no time left", context.DeadlineExceeded, Transient, Unreachable},
		{"the caller left", context.Canceled, Transient, KafkaError},
		{"anything else", errors.New("SASL_AUTHENTICATION_FAILED"), Transient, KafkaError},
		{"already classified", fmt.Errorf("unable to dial: %w", own), Rejected, "SecretNotFound"},
	} {
		is := Classify(test.err)
		if is.Class != test.class || is.Reason != test.want {
			t.Errorf("%s: got %s/%s, want %s/%s", test.reason, is.Class, is.Reason, test.class, test.want)
		}
		if !errors.Is(is, test.err) && is != own {
			t.Errorf("%s: the cause is lost", test.reason)
		}
	}
	if Classify(nil) != nil {
		t.Error("no error is classified as one")
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	words := "Unknown topic config name: retention.eons"
	empty := ""
	reading := &net.OpError{
		Op: "read", Net: "tcp", Err: syscall.ECONNRESET,
		Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 54321},
		Addr:   &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 9092},
	}
	as := func(user string) action {
		c := &Cluster{config: Config{BootstrapServers: []string{"a:1", "b:2"}, SASL: &SASL{Mechanism: ScramSHA512, Source: "Secret weir/kafka (spec.sasl.secretRef)"}}}
		if user != "" {
			c.user.Store(&user)
		}
		return action{c, "create topic a", on(ResourceTopic, "a", "ALTER_CONFIGS", "CREATE")}
	}
	creating := as("weir")
	reachedOnce := func(n int) error {
		return &net.DNSError{Err: fmt.Sprint("read udp 10.0.0.1:", n), Name: "kafka", Server: "10.0.0.2:53"}
	}
	for _, test := range []struct {
		reason string
		err    error
		want   string
	}{
		{"Kafka's own words", creating.refused(kerr.InvalidConfig.Code, &words), "create topic a: INVALID_CONFIG: Unknown topic config name: retention.eons"},
		{"no words of Kafka", creating.refused(kerr.InvalidConfig.Code, &empty), "create topic a: INVALID_CONFIG: Configuration is invalid."},
		{"the ACL", creating.refused(kerr.TopicAuthorizationFailed.Code, nil), "create topic a: User:weir needs ALTER_CONFIGS and CREATE on Topic a; " +
			"run: kafka-acls --add --allow-principal User:weir --operation AlterConfigs --operation Create --topic '*'"},
		{"the ACL of nobody known", as("").refused(kerr.TopicAuthorizationFailed.Code, nil), "create topic a: Weir's principal needs ALTER_CONFIGS and CREATE on Topic a"},
		{"no object of Kafka's", creating.refused(kerr.ClusterAuthorizationFailed.Code, &words), "create topic a: User:weir needs ALTER_CONFIGS and CREATE on Topic a; " +
			"run: kafka-acls --add --allow-principal User:weir --operation AlterConfigs --operation Create --topic '*'"},
		{"wrong credentials need no ACL", creating.failed(kerr.SaslAuthenticationFailed), "the brokers at a:1,b:2 refuse User:weir (ScramSHA512): " +
			"check username and password in Secret weir/kafka (spec.sasl.secretRef), and the mechanism"},
		{"no port that changes", creating.failed(reading), "no broker answers at a:1,b:2 (connection reset by peer); Weir keeps trying"},
		{"no address that changes", creating.failed(reachedOnce(1)), "no broker answers at a:1,b:2 (the name kafka cannot be resolved now); Weir keeps trying"},
		{"no text of a driver", creating.failed(errors.New("server signature mismatch: c2VjcmV0")), "create topic a: what answers may not speak Kafka, or may want TLS, or another way to authenticate"},
		{"no time left", creating.failed(context.DeadlineExceeded), "no broker answers at a:1,b:2 (no answer in time); Weir keeps trying"},
		{"a broker that cannot serve", creating.refused(kerr.RequestTimedOut.Code, nil), "create topic a: REQUEST_TIMED_OUT: The request timed out."},
		{"success", creating.refused(0, nil), ""},
		{"success", creating.failed(nil), ""},
	} {
		if diff := cmp.Diff(test.want, text(test.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	rejected := &Error{Class: Rejected, Reason: InvalidConfig, Message: "a is wrong"}
	transient := &Error{Class: Transient, Reason: Unreachable, Message: "b is away"}
	for _, test := range []struct {
		reason  string
		errs    []error
		class   Class
		why     string
		message string
	}{
		{"one", []error{nil, rejected}, Rejected, InvalidConfig, "a is wrong"},
		{"what may pass is tried again", []error{rejected, transient}, Transient, Unreachable, "b is away; a is wrong"},
	} {
		is := Classify(together(test.errs))
		if is.Class != test.class || is.Reason != test.why || is.Message != test.message {
			t.Errorf("%s: got %s/%s %q", test.reason, is.Class, is.Reason, is.Message)
		}
		for _, err := range test.errs {
			if err != nil && !errors.Is(is, err) {
				t.Errorf("%s: %q is lost", test.reason, err)
			}
		}
	}
	if err := together([]error{nil, nil}); err != nil {
		t.Errorf("no failures make %v", err)
	}
}

func TestSecretText(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", " se cret \n\n": " se cret ", "\n": "", "": "",
	} {
		if got := SecretText([]byte(value)); got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	}
}
