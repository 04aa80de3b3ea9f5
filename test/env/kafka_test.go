package env_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }

func TestKafkaDeniesByDefaultAndObeysACLs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka := env.SharedKafka(t)
	admin := kadm.NewClient(kafka.Client(t, kafka.Admin))
	topic := env.Unique("acl")
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	writer := kafka.User(t, env.Unique("writer"))
	grant := kadm.NewACLs().Allow("User:"+writer.Name).Operations(kadm.OpWrite, kadm.OpDescribe).Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral)
	granted, err := admin.CreateACLs(ctx, grant)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range granted {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
	}

	produce := func(user env.User) error {
		client := kafka.Client(t, user)
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
	}
	for _, mechanism := range []string{env.ScramSHA256, env.ScramSHA512} {
		writer.Mechanism = mechanism
		if err := produce(writer); err != nil {
			t.Errorf("a user with a Write ACL, by %s: %v", mechanism, err)
		}
	}
	if err := produce(kafka.User(t, env.Unique("stranger"))); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a user without ACLs: got %v, want %v", err, kerr.TopicAuthorizationFailed)
	}
	writer.Password = "wrong"
	if err := kafka.Client(t, writer).Ping(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a wrong password: got %v, want %v", err, kerr.SaslAuthenticationFailed)
	}
}

func TestKafkaAdminLogsInByEveryMechanism(t *testing.T) {
	t.Parallel()
	kafka := env.SharedKafka(t)
	for _, mechanism := range []string{env.Plain, env.ScramSHA256, env.ScramSHA512} {
		admin := kafka.Admin
		admin.Mechanism = mechanism
		if err := kafka.Client(t, admin).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestKafkaCreatesNoTopicByItself(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka := env.SharedKafka(t)
	client := kafka.Client(t, kafka.Admin, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	err := client.ProduceSync(ctx, &kgo.Record{Topic: env.Unique("absent"), Value: []byte("v")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

func TestKafkaFromTheEnvironment(t *testing.T) {
	own, err := env.StartKafka(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("KAFKA_BOOTSTRAP", own.Bootstrap[0])
	if _, err := env.StartKafka(t.Context()); err == nil || !strings.Contains(err.Error(), "set KAFKA_USERNAME and KAFKA_PASSWORD") {
		t.Errorf("without credentials: got %v, want what is missing", err)
	}
	t.Setenv("KAFKA_USERNAME", own.Admin.Name)
	t.Setenv("KAFKA_PASSWORD", own.Admin.Password)
	for _, mechanism := range []string{env.Plain, env.ScramSHA256, env.ScramSHA512} {
		t.Setenv("KAFKA_SASL_MECHANISM", mechanism)
		external, err := env.StartKafka(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := external.Client(t, external.User(t, env.Unique("user"))).Ping(t.Context()); err != nil {
			t.Errorf("a user made by an administrator with %s: %v", mechanism, err)
		}
	}
}
