package kafka_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestConnectRefuses(t *testing.T) {
	t.Parallel()
	_, err := kafka.Connect(kafka.Config{})
	wantError(t, err, kafka.Rejected, kafka.InvalidConnection, "bootstrapServers is empty")
	_, err = kafka.Connect(kafka.Config{BootstrapServers: []string{"a:1"}, SASL: &kafka.SASL{Mechanism: "Digest"}})
	wantError(t, err, kafka.Rejected, kafka.InvalidConnection, `SASL mechanism "Digest" is unknown; use Plain, ScramSHA256 or ScramSHA512`)
}

func TestEveryMechanism(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	for _, mechanism := range []string{env.Plain, env.ScramSHA256, env.ScramSHA512} {
		admin := shared.Admin
		admin.Mechanism = mechanism
		if _, err := connectAs(t, config(shared, admin)).Describe(t.Context()); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	var (
		password atomic.Pointer[string]
		wrong    = "wrong"
		missing  = &kafka.Error{Class: kafka.Rejected, Reason: "SecretNotFound", Message: "Secret weir-kafka does not exist"}
	)
	credentials := config(shared, shared.Admin)
	credentials.SASL.Credentials = func(context.Context) (string, string, error) {
		if p := password.Load(); p != nil {
			return shared.Admin.Name, *p, nil
		}
		return "", "", missing
	}
	cluster := connectAs(t, credentials)
	start := time.Now()

	_, err := cluster.Describe(t.Context())
	wantError(t, err, kafka.Rejected, "SecretNotFound", "describe the cluster: Secret weir-kafka does not exist")
	password.Store(&wrong)
	_, err = cluster.Describe(t.Context())
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "the brokers at "+strings.Join(shared.Bootstrap, ",")+" refuse User:"+shared.Admin.Name+" (ScramSHA512): check username and password, and the mechanism")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the refusals took %v", took)
	}
	password.Store(&shared.Admin.Password)
	if _, err := cluster.Describe(t.Context()); err != nil {
		t.Errorf("with the password put right, without a new connection: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cluster := connectAs(t, kafka.Config{BootstrapServers: []string{address}})
	start := time.Now()
	_, err = cluster.ObserveTopic(t.Context(), "orders")
	wantError(t, err, kafka.Transient, kafka.Unreachable, "no broker answers at "+address+" (connection refused); Weir keeps trying")
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("it took %v to notice", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	err = errors.Join(cluster.CreateBindings(ctx, kafka.Consume("User:a", "orders"))...)
	wantError(t, err, kafka.Transient, kafka.Unreachable, "no broker answers at "+address+" (no answer in time); Weir keeps trying")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	cluster.Close()
	_, err := cluster.ObserveTopic(t.Context(), "orders")
	wantError(t, err, kafka.Transient, kafka.Unreachable, "observe topic orders: the connection was closed meanwhile")
	_, err = cluster.Describe(t.Context())
	wantError(t, err, kafka.Transient, kafka.Unreachable, "")
}
