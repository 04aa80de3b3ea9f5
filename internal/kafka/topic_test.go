package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func format(v any) string { return fmt.Sprintf("%+v", v) }

// follow applies what PlanTopic decides until the topic is as wanted, as a
// controller would, and returns it with all changes in words.
func follow(t *testing.T, cluster *kafka.Cluster, want kafka.TopicSpec) (kafka.Topic, []string) {
	t.Helper()
	var (
		topic   kafka.Topic
		changes []string
	)
	topic, err := cluster.ObserveTopic(t.Context(), want.Name)
	if err != nil {
		t.Fatal(err)
	}
	plan := kafka.PlanTopic(want, topic)
	for _, change := range plan.Changes {
		changes = append(changes, change.String())
	}
	env.Await(t, func() string { // a topic may be unknown to a broker just after its creation
		if err := cluster.ApplyTopic(t.Context(), want.Name, plan.Changes); err != nil {
			if kafka.Classify(err).Class != kafka.Transient {
				t.Fatal(err)
			}
			return err.Error()
		}
		return ""
	})
	topic = awaitTopic(t, cluster, want.Name, func(topic kafka.Topic) bool {
		return len(kafka.PlanTopic(want, topic).Changes) == 0
	})
	return topic, changes
}

func TestTopicLifecycle(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("shop.orders")

	topic, err := cluster.ObserveTopic(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kafka.Topic{Name: name}, topic); diff != "" {
		t.Fatalf("absent topic (-want +got):\n%s", diff)
	}

	want := kafka.TopicSpec{
		Name: name, Partitions: 2, DefaultReplicas: 1,
		Config: map[string]string{"retention.ms": "60000", "cleanup.policy": "compact, delete"},
	}
	created, changes := follow(t, cluster, want)
	if diff := cmp.Diff([]string{"created with 2 partitions, 1 replica, config cleanup.policy=compact, delete retention.ms=60000"}, changes); diff != "" {
		t.Errorf("creation (-want +got):\n%s", diff)
	}
	if created.ID == "" || created.Partitions != 2 || created.Replicas != 1 || created.Config["retention.ms"] != "60000" || len(created.Config) != 2 {
		t.Errorf("created: %s", format(created))
	}

	want.Partitions = 3
	want.Config = map[string]string{"retention.ms": "120000", "segment.ms": "30000"}
	want.Set = map[string]string{"retention.ms": "60000", "cleanup.policy": "delete,compact"}
	altered, changes := follow(t, cluster, want)
	oldPolicy := created.Config["cleanup.policy"]
	if diff := cmp.Diff([]string{
		"partitions: 2 -> 3",
		"config cleanup.policy: " + oldPolicy + " -> default",
		"config retention.ms: 60000 -> 120000",
		"config segment.ms: default -> 30000",
	}, changes); diff != "" {
		t.Errorf("alteration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(kafka.Topic{
		Name: name, ID: created.ID, Exists: true, Partitions: 3, Replicas: 1,
		Config: map[string]string{"retention.ms": "120000", "segment.ms": "30000"},
	}, altered); diff != "" {
		t.Errorf("altered (-want +got):\n%s", diff)
	}

	for i := range 2 {
		if err := cluster.DeleteTopic(t.Context(), name, ""); err != nil {
			t.Errorf("deletion %d: %v", i+1, err)
		}
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return !topic.Exists })
}

// A topic that has come to the name of another one stays.
func TestDeleteTopicByID(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("by-id")
	create := func() kafka.Topic {
		ensured, err := cluster.EnsureTopic(t.Context(), kafka.TopicSpec{Name: name, Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		return ensured.After
	}
	first := create()
	if err := cluster.DeleteTopic(t.Context(), name, first.ID); err != nil {
		t.Fatal(err)
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return !topic.Exists })
	second := create()
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return topic.ID == second.ID })
	if err := cluster.DeleteTopic(t.Context(), name, first.ID); err != nil {
		t.Error("the first is gone, which is success: ", err)
	}
	if now, err := cluster.ObserveTopic(t.Context(), name); err != nil || now.ID != second.ID {
		t.Errorf("the second topic, %s, is now %+v, %v", second.ID, now, err)
	}
}

func TestApplyTopicTwiceIsSuccess(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("twice")
	for _, changes := range [][]kafka.Change{
		{{Kind: kafka.CreateTopic, Partitions: 1, Config: map[string]string{"retention.ms": "1000"}}},
		{{Kind: kafka.GrowTopic, OldPartitions: 1, Partitions: 2}},
		{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "2000"}},
		{{Kind: kafka.ResetConfig, Key: "retention.ms"}},
	} {
		for i := range 2 {
			env.Await(t, func() string {
				if err := cluster.ApplyTopic(t.Context(), name, changes); err != nil {
					return fmt.Sprintf("%v, time %d: %v", changes, i+1, err)
				}
				return ""
			})
		}
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool {
		return topic.Partitions == 2 && len(topic.Config) == 0
	})
}

func TestBrokersDefaultsAtCreation(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	topic, changes := follow(t, cluster, kafka.TopicSpec{Name: env.Unique("defaults")})
	if diff := cmp.Diff([]string{"created with default partitions, default replicas"}, changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if topic.Partitions < 1 || topic.Replicas < 1 || len(topic.Config) != 0 {
		t.Errorf("created: %s", format(topic))
	}
}

func TestRefusedConfig(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("refused")
	const key = "retention.eons"
	refuseConfig(t, name, key)

	err := cluster.ApplyTopic(t.Context(), name, []kafka.Change{
		{Kind: kafka.CreateTopic, Partitions: 1, Config: map[string]string{key: "1"}},
	})
	wantError(t, err, kafka.Rejected, kafka.InvalidConfig, "create topic "+name+": INVALID_CONFIG: ")
	if topic, err := cluster.ObserveTopic(t.Context(), name); err != nil || topic.Exists {
		t.Errorf("a refused creation leaves %s, %v", format(topic), err)
	}

	follow(t, cluster, kafka.TopicSpec{Name: name, Partitions: 1})
	err = cluster.ApplyTopic(t.Context(), name, []kafka.Change{
		{Kind: kafka.GrowTopic, OldPartitions: 1, Partitions: 2},
		{Kind: kafka.SetConfig, Key: key, Value: "1"},
		{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1000"},
		{Kind: kafka.SetConfig, Key: "segment.ms", Value: "1000"},
	})
	wantError(t, err, kafka.Rejected, kafka.InvalidConfig, "change the config of topic "+name+": INVALID_CONFIG: ")
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { // the rest is applied
		return topic.Partitions == 2 && topic.Config["retention.ms"] == "1000" && topic.Config["segment.ms"] == "1000"
	})
}

func TestRefusedTopics(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("refused")
	good := env.Unique("good")

	// Side by side in one request: each error is its topic's alone.
	var (
		group                 sync.WaitGroup
		badReplicas, goodErr  error
		badPartitions, absent error
	)
	group.Go(func() {
		badReplicas = cluster.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.CreateTopic, Replicas: 99}})
	})
	group.Go(func() {
		goodErr = cluster.ApplyTopic(t.Context(), good, []kafka.Change{{Kind: kafka.CreateTopic, Partitions: 2}})
	})
	group.Go(func() {
		absent = cluster.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1"}})
	})
	group.Wait()
	wantError(t, badReplicas, kafka.Rejected, kafka.InvalidReplicationFactor, "create topic "+name+": INVALID_REPLICATION_FACTOR: ")
	wantError(t, absent, kafka.Transient, kafka.TopicNotFound, "change the config of topic "+name+": UNKNOWN_TOPIC_OR_PARTITION: ")
	if goodErr != nil {
		t.Errorf("a good topic next to a bad one: %v", goodErr)
	}

	awaitTopic(t, cluster, good, func(topic kafka.Topic) bool { return topic.Exists })
	badPartitions = cluster.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.GrowTopic, Partitions: 2}})
	wantError(t, badPartitions, kafka.Transient, kafka.TopicNotFound, "raise topic "+name+" to 2 partitions: UNKNOWN_TOPIC_OR_PARTITION: ")
}

func TestRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	owner := connect(t)
	name := env.Unique("private")
	follow(t, owner, kafka.TopicSpec{Name: name, Partitions: 1})
	user := shared.User(t, env.Unique("stranger"))
	stranger := connectAs(t, config(shared, user))
	ctx, who := t.Context(), "User:"+user.Name

	_, err := stranger.ObserveTopic(ctx, name)
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "observe topic "+name+": "+who+" needs DESCRIBE and DESCRIBE_CONFIGS on Topic "+name)
	err = stranger.ApplyTopic(ctx, name+"-2", []kafka.Change{{Kind: kafka.CreateTopic, Partitions: 1}})
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "create topic "+name+"-2: "+who+" needs CREATE on Topic "+name+"-2; run: kafka-acls --add --allow-principal "+who+" --operation Create --topic '*'")
	err = stranger.ApplyTopic(ctx, name, []kafka.Change{{Kind: kafka.GrowTopic, Partitions: 2}})
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, who+" needs ALTER on Topic "+name)
	err = stranger.ApplyTopic(ctx, name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1"}})
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, who+" needs ALTER_CONFIGS on Topic "+name)
	err = stranger.DeleteTopic(ctx, name, "")
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "delete topic "+name+": "+who+" needs DELETE on Topic "+name)
	_, err = stranger.Bindings(ctx)
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "list ACL bindings: "+who+" needs DESCRIBE on the Cluster")
	err = errors.Join(stranger.CreateBindings(ctx, kafka.Consume("User:x", name))...)
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "add ACL binding User:x * READ Topic Literal "+name+": "+who+" needs ALTER on the Cluster")
	err = errors.Join(stranger.DeleteBindings(ctx, kafka.Consume("User:x", name))...)
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "remove ACL binding User:x * READ Topic Literal "+name+": "+who+" needs ALTER on the Cluster")
}

func TestObserveTopics(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	a, b := env.Unique("sweep-a"), env.Unique("sweep-b")
	follow(t, cluster, kafka.TopicSpec{Name: a, Partitions: 1})
	topics, err := cluster.ObserveTopics(t.Context(), []string{a, b, a})
	if err != nil {
		t.Fatal(err)
	}
	if len(topics) != 2 || !topics[a].Exists || topics[b].Exists || topics[b].Name != b {
		t.Errorf("got %s", format(topics))
	}

	invalid := "no/topic"
	if env.SharedKafka(t).Fake != nil {
		return // kfake takes any name for a topic that does not exist
	}
	topics, err = cluster.ObserveTopics(t.Context(), []string{a, invalid})
	wantError(t, err, kafka.Rejected, kafka.InvalidTopicName, "observe topic no/topic: ")
	if _, listed := topics[invalid]; listed || !topics[a].Exists {
		t.Errorf("got %s", format(topics))
	}
}

// requestCount counts the requests that a client writes, by key.
type requestCount struct {
	mu    sync.Mutex
	byKey map[kmsg.Key]int
}

var _ kgo.HookBrokerWrite = (*requestCount)(nil)

func (r *requestCount) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[kmsg.Key]int{}
	}
	r.byKey[kmsg.Key(key)]++
}

func (r *requestCount) of(key kmsg.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byKey[key]
}

func TestConcurrentCallsShareRequests(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	requests := &requestCount{}
	cluster, err := kafka.ConnectWithHooks(config(shared, shared.Admin), requests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	prefix := env.Unique("many")
	const callers = 64

	everyone := func(call func(ctx context.Context, topic string) error) {
		t.Helper()
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				if err := call(t.Context(), fmt.Sprintf("%s-%d", prefix, i)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	everyone(func(ctx context.Context, topic string) error {
		return cluster.ApplyTopic(ctx, topic, []kafka.Change{{Kind: kafka.CreateTopic, Partitions: 1}})
	})
	everyone(func(ctx context.Context, topic string) error {
		return errors.Join(cluster.CreateBindings(ctx, kafka.Consume("User:reader", topic))...)
	})
	awaitTopic(t, cluster, fmt.Sprintf("%s-%d", prefix, callers-1), func(topic kafka.Topic) bool { return topic.Exists })
	metadata, configs, lists := requests.of(kmsg.Metadata), requests.of(kmsg.DescribeConfigs), requests.of(kmsg.DescribeACLs)
	everyone(func(ctx context.Context, topic string) error {
		_, err := cluster.ObserveTopic(ctx, topic)
		return err
	})
	everyone(func(ctx context.Context, topic string) error {
		_, _ = cluster.Depth(ctx, topic) // a partition may have no leader yet
		return nil
	})
	everyone(func(ctx context.Context, _ string) error {
		_, err := cluster.Bindings(ctx)
		return err
	})
	everyone(func(ctx context.Context, topic string) error {
		return errors.Join(cluster.DeleteBindings(ctx, kafka.Consume("User:reader", topic))...)
	})
	everyone(func(ctx context.Context, topic string) error { return cluster.DeleteTopic(ctx, topic, "") })

	const handful = 8
	for name, n := range map[string]int{
		"CreateTopics":    requests.of(kmsg.CreateTopics),
		"CreateAcls":      requests.of(kmsg.CreateACLs),
		"Metadata":        requests.of(kmsg.Metadata) - metadata,
		"DescribeConfigs": requests.of(kmsg.DescribeConfigs) - configs,
		"ListOffsets":     requests.of(kmsg.ListOffsets),
		"DescribeAcls":    requests.of(kmsg.DescribeACLs) - lists,
		"DeleteAcls":      requests.of(kmsg.DeleteACLs),
		"DeleteTopics":    requests.of(kmsg.DeleteTopics),
	} {
		if n < 1 || n > handful {
			t.Errorf("%d callers made %d %s requests, want 1 to %d", callers, n, name, handful)
		}
	}
}

func wantError(t *testing.T, err error, class kafka.Class, reason, message string) {
	t.Helper()
	is := kafka.Classify(err)
	if is == nil {
		t.Errorf("no error, want %s/%s: …%s…", class, reason, message)
		return
	}
	if is.Class != class || is.Reason != reason || !strings.Contains(is.Message, message) {
		t.Errorf("got  %s/%s: %s\nwant %s/%s: …%s…", is.Class, is.Reason, is.Message, class, reason, message)
	}
}
