package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The SASL mechanisms, spelled as in KafkaCluster's spec.sasl.mechanism.
const (
	Plain       = "Plain"
	ScramSHA256 = "ScramSHA256"
	ScramSHA512 = "ScramSHA512"
)

// Config says how a cluster is reached.
type Config struct {
	// BootstrapServers are host:port addresses, at least one.
	BootstrapServers []string
	// TLS is nil for plaintext. The server name is taken from each broker's
	// address where it is empty.
	TLS *tls.Config
	// SASL is nil where the cluster authenticates by client certificate or not at all.
	SASL *SASL
	// ClusterID is the only cluster that a Cluster works on; where it is empty,
	// that is the first that answers. What any other answers is an error with
	// reason ClusterIdMismatch.
	ClusterID string
	// ClientID is shown in the brokers' logs and quotas; it may be empty.
	ClientID string
}

// SASL says how the client proves who it is.
type SASL struct {
	// Mechanism is Plain, ScramSHA256 or ScramSHA512.
	Mechanism string
	// Credentials is called at every authentication, from several goroutines,
	// so that a rotated secret takes effect without a restart. A *Error that it
	// returns reaches the caller of the request unchanged.
	Credentials func(context.Context) (username, password string, err error)
	// Source says where the credentials are from, for the message that they were
	// refused: "Secret weir/kafka (spec.sasl.secretRef)".
	Source string
}

// dialTimeout, retryTimeout and groupRetryTimeout bound how long a broker that
// does not answer goes unnoticed: two hanging dials, or ten seconds of refused
// ones. A request of a Cluster that was accepted and is never answered fails
// after requestTimeout, one of a worker after kgo's ten seconds. Group requests
// keep the session's time, since giving up earlier costs the membership.
const (
	requestTimeout    = 5 * time.Second
	dialTimeout       = 5 * time.Second
	retryTimeout      = 10 * time.Second
	groupRetryTimeout = 45 * time.Second
)

// requestRetries of a Cluster bridge a change of leader or controller; callers
// try again by themselves, and report in the meantime what is wrong. With
// kgo's backoff they take some two seconds.
const requestRetries = 3

// Options returns the options of a client that is neither consumer nor
// producer yet; workers add those. The error is a *Error with reason
// InvalidConnection.
func (c Config) Options() ([]kgo.Opt, error) {
	if len(c.BootstrapServers) == 0 {
		return nil, &Error{Class: Rejected, Reason: InvalidConnection, Message: "bootstrapServers is empty"}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.BootstrapServers...),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeoutFn(retryTimeoutOf),
	}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		mechanism, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

func retryTimeoutOf(requestKey int16) time.Duration {
	switch kmsg.Key(requestKey) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat:
		return groupRetryTimeout
	default:
		return retryTimeout
	}
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	scramAuth := func(ctx context.Context) (scram.Auth, error) {
		user, pass, err := s.Credentials(ctx)
		return scram.Auth{User: user, Pass: pass}, err
	}
	switch s.Mechanism {
	case Plain:
		return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			user, pass, err := s.Credentials(ctx)
			return plain.Auth{User: user, Pass: pass}, err
		}), nil
	case ScramSHA256:
		return scram.Sha256(scramAuth), nil
	case ScramSHA512:
		return scram.Sha512(scramAuth), nil
	default:
		return nil, &Error{
			Class: Rejected, Reason: InvalidConnection,
			Message: fmt.Sprintf("SASL mechanism %q is unknown; use %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512),
		}
	}
}

// Cluster is a connection to a Kafka cluster under one principal. Its methods
// are safe for concurrent use, and their errors carry a *Error (see Classify).
type Cluster struct {
	client *kgo.Client
	config Config
	// user is who the client authenticated as last, nil without SASL.
	user atomic.Pointer[string]
	// expected is the ID of the cluster, nil before the first answer.
	expected atomic.Pointer[string]

	observes coalescer[string, Topic]
	depths   coalescer[string, int64]
	creates  coalescer[topicChanges, Topic]
	grows    coalescer[topicChanges, done]
	alters   coalescer[topicChanges, []error]
	deletes  coalescer[topicChanges, done]
	lists    coalescer[struct{}, map[Binding]struct{}]
	adds     coalescer[[]Binding, []error]
	removes  coalescer[[]Binding, []error]

	acknowledged acknowledgements
}

// Connect makes a Cluster. It does not touch the network: the first request
// does. The error is a *Error with reason InvalidConnection.
func Connect(config Config) (*Cluster, error) { return connect(config) }

func connect(config Config, more ...kgo.Opt) (*Cluster, error) {
	c := &Cluster{config: config}
	if config.ClusterID != "" {
		c.expected.Store(&config.ClusterID)
	}
	if config.SASL != nil {
		noted := *config.SASL
		noted.Credentials = c.noting(config.SASL.Credentials)
		config.SASL = &noted
	}
	opts, err := config.Options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.RequestRetries(requestRetries), kgo.RequestTimeoutOverhead(requestTimeout))
	c.client, err = kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, &Error{Class: Rejected, Reason: InvalidConnection, Message: "the connection's settings do not fit together", Err: err}
	}
	c.observes.run = c.observe
	c.depths.run = c.countRecords
	c.creates.run = c.createTopics
	c.grows.run = c.growTopics
	c.alters.run = c.alterTopics
	c.deletes.run = c.deleteTopics
	c.lists.run = c.listBindings
	c.adds.run = c.addBindings
	c.removes.run = c.removeBindings
	return c, nil
}

// noting remembers who the client authenticates as.
func (c *Cluster) noting(credentials func(context.Context) (string, string, error)) func(context.Context) (string, string, error) {
	return func(ctx context.Context) (username, password string, err error) {
		username, password, err = credentials(ctx)
		if err == nil {
			c.user.Store(&username)
		}
		return username, password, err
	}
}

// who is the client's principal, empty where it is not known.
func (c *Cluster) who() string {
	if user := c.user.Load(); user != nil {
		return "User:" + *user
	}
	return ""
}

func (c *Cluster) servers() string { return strings.Join(c.config.BootstrapServers, ",") }

// refusedWords say that the brokers do not take the client's credentials.
func (c *Cluster) refusedWords() string {
	sasl := c.config.SASL
	if sasl == nil {
		return fmt.Sprintf("the brokers at %s want SASL, and the client has none", c.servers())
	}
	message := fmt.Sprintf("the brokers at %s refuse %s (%s): check username and password", c.servers(), orWeir(c.who()), sasl.Mechanism)
	if sasl.Source != "" {
		message += " in " + sasl.Source
	}
	return message + ", and the mechanism"
}

// Close ends all connections and waits for the requests under way, which fail
// with a transient error, as later calls do.
func (c *Cluster) Close() {
	c.client.Close()
	for _, batches := range []interface{ close() }{
		&c.observes, &c.depths, &c.creates, &c.grows, &c.alters, &c.deletes, &c.lists, &c.adds, &c.removes,
	} {
		batches.close()
	}
}
