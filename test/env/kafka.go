package env

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Kafka's names of the SASL mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// User is who a client is to Kafka; its principal is "User:" + Name.
type User struct {
	Name, Password string
	// Mechanism is one of the constants above. The users that AddUser makes
	// may also use the other SCRAM mechanism, and Admin any of the three,
	// except on a broker from the environment.
	Mechanism string
}

// Kafka is one running cluster that authenticates by SASL and allows nobody but
// Admin what no ACL allows. Topics are not created automatically.
type Kafka struct {
	// Bootstrap is host:port of at least one broker.
	Bootstrap []string
	// Admin is a super user.
	Admin User
	// Fake is set where the cluster is in process, for fault injection; nil on
	// a real broker.
	Fake *kfake.Cluster

	stop func() error
}

var sharedKafka, sharedFake Shared[*Kafka]

// SharedKafka is the cluster that all tests of a test binary share: they use
// topics, groups and users of their own. The package needs a TestMain that
// calls Main.
func SharedKafka(tb testing.TB) *Kafka {
	tb.Helper()
	return sharedKafka.Get(tb, StartKafka)
}

// SharedFake is a cluster in process that all tests of a test binary share,
// whatever StartKafka would start: for faults that a real broker cannot be told
// to have. See SharedKafka.
func SharedFake(tb testing.TB) *Kafka {
	tb.Helper()
	return sharedFake.Get(tb, func(context.Context) (*Kafka, error) { return StartFake() })
}

// StartKafka starts a cluster of one broker: in process by kfake, or Apache
// Kafka where WEIR_TEST_KAFKA=apache. Where KAFKA_BOOTSTRAP is set it uses the
// cluster there, with KAFKA_SASL_MECHANISM (default SCRAM-SHA-512),
// KAFKA_USERNAME and KAFKA_PASSWORD of a super user. The caller closes it.
func StartKafka(ctx context.Context) (*Kafka, error) {
	if bootstrap := os.Getenv("KAFKA_BOOTSTRAP"); bootstrap != "" {
		return connectKafka(ctx, bootstrap)
	}
	switch flavour := os.Getenv("WEIR_TEST_KAFKA"); flavour {
	case "", "kfake":
		return StartFake()
	case "apache":
		return startApacheKafka(ctx)
	default:
		return nil, fmt.Errorf("WEIR_TEST_KAFKA is %q: want kfake or apache", flavour)
	}
}

func connectKafka(ctx context.Context, bootstrap string) (*Kafka, error) {
	k := &Kafka{
		Bootstrap: strings.Split(bootstrap, ","),
		Admin: User{
			Name:      os.Getenv("KAFKA_USERNAME"),
			Password:  os.Getenv("KAFKA_PASSWORD"),
			Mechanism: os.Getenv("KAFKA_SASL_MECHANISM"),
		},
		stop: func() error { return nil },
	}
	if k.Admin.Name == "" || k.Admin.Password == "" {
		return nil, errors.New("KAFKA_BOOTSTRAP is set: set KAFKA_USERNAME and KAFKA_PASSWORD of a super user too")
	}
	if k.Admin.Mechanism == "" {
		k.Admin.Mechanism = ScramSHA512
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := k.ping(ctx, k.Admin); err != nil {
		return nil, fmt.Errorf("reach Kafka at KAFKA_BOOTSTRAP=%s as %s by %s: %w", bootstrap, k.Admin.Name, k.Admin.Mechanism, err)
	}
	return k, nil
}

// Close stops the cluster, except one from the environment.
func (k *Kafka) Close() error { return k.stop() }

// Options are what a client needs to reach the cluster as user.
func (k *Kafka) Options(user User) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(k.Bootstrap...), kgo.SASL(user.mechanism())}
}

func (u User) mechanism() sasl.Mechanism {
	switch u.Mechanism {
	case ScramSHA256:
		return scram.Auth{User: u.Name, Pass: u.Password}.AsSha256Mechanism()
	case ScramSHA512:
		return scram.Auth{User: u.Name, Pass: u.Password}.AsSha512Mechanism()
	default:
		return plain.Auth{User: u.Name, Pass: u.Password}.AsMechanism()
	}
}

// Client is a client of the cluster as user, closed at the end of the test.
func (k *Kafka) Client(tb testing.TB, user User, options ...kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := kgo.NewClient(append(k.Options(user), options...)...)
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	tb.Cleanup(client.Close)
	return client
}

// User adds a user with a password of its own (see AddUser) and fails the test
// where that fails.
func (k *Kafka) User(tb testing.TB, name string) User {
	tb.Helper()
	user, err := k.AddUser(tb.Context(), name, rand.Text())
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	return user
}

// AddUser gives a user SCRAM credentials, or replaces them, and returns once
// the cluster accepts them. The user has no rights until ACLs give some.
func (k *Kafka) AddUser(ctx context.Context, name, password string) (User, error) {
	user := User{Name: name, Password: password, Mechanism: ScramSHA512}
	if k.Admin.Mechanism == ScramSHA256 { // a cluster from the environment may know only this one
		user.Mechanism = ScramSHA256
	}
	client, err := kgo.NewClient(k.Options(k.Admin)...)
	if err != nil {
		return User{}, fmt.Errorf("add Kafka user %s: %w", name, err)
	}
	defer client.Close()
	const iterations = 4096 // the least that Kafka accepts, and the only number that kfake can verify
	// One mechanism a request: kfake takes a second one of the same user for a duplicate.
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		altered, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
			{User: name, Mechanism: mechanism, Iterations: iterations, Password: password},
		})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			return User{}, fmt.Errorf("add Kafka user %s: %w", name, err)
		}
	}
	// A broker learns of the user a moment after the controller has answered.
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := k.await(ctx, user, nil); err != nil {
		return User{}, fmt.Errorf("add Kafka user %s: %w", name, err)
	}
	return user, nil
}

// await returns when user can log in, with the last refusal when ctx ends
// first, or early when the broker has ended.
func (k *Kafka) await(ctx context.Context, user User, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := k.ping(ctx, user)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ended:
			return errors.New("the broker has ended")
		case <-tick.C:
		}
	}
}

// ping logs in as user on a connection of its own.
func (k *Kafka) ping(ctx context.Context, user User) error {
	client, err := kgo.NewClient(append(k.Options(user), kgo.RequestRetries(0), kgo.DialTimeout(2*time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}
