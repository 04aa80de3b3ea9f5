package kafka_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// words are changes as an event tells them.
func words(changes []kafka.Change) []string {
	var words []string
	for _, change := range changes {
		words = append(words, change.String())
	}
	return words
}

// ensure makes a topic what spec says, and carries what was set to the next call.
func ensure(t *testing.T, cluster *kafka.Cluster, spec *kafka.TopicSpec) kafka.Ensured {
	t.Helper()
	ensured, err := cluster.EnsureTopic(t.Context(), *spec)
	if err != nil {
		t.Fatal(err)
	}
	spec.Set = ensured.Set
	return ensured
}

func TestEnsureTopic(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("shop.orders")
	spec := kafka.TopicSpec{
		Name: name, Partitions: 2, DefaultReplicas: 1,
		Config: map[string]string{"retention.ms": "60000", "cleanup.policy": "compact,compact"},
	}
	created := ensure(t, cluster, &spec)
	if diff := cmp.Diff([]string{"created with 2 partitions, 1 replica, config cleanup.policy=compact,compact retention.ms=60000"}, words(created.Changes)); diff != "" {
		t.Errorf("creation (-want +got):\n%s", diff)
	}
	if after := created.After; created.Before.Exists || after.ID == "" || after.Partitions != 2 || after.Replicas != 1 || !after.Exists {
		t.Errorf("created: %s", format(created))
	}
	// At once, whether or not the brokers show it: nothing is made twice.
	if again := ensure(t, cluster, &spec); len(again.Changes) > 0 || again.After.ID != created.After.ID || again.After.Partitions != 2 {
		t.Errorf("again: %s", format(again))
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return topic.Exists && len(topic.Config) == 2 })

	spec.Partitions = 3
	spec.Config = map[string]string{"retention.ms": "120000", "segment.ms": "3600000"}
	env.Await(t, func() string { // a broker may know the topic, and another not yet
		altered, err := cluster.EnsureTopic(t.Context(), spec)
		if err != nil {
			return err.Error()
		}
		if after := altered.After; after.Partitions != 3 || after.Config["retention.ms"] != "120000" || len(after.Config) != 2 {
			t.Errorf("altered: %s", format(altered))
		}
		if diff := cmp.Diff(map[string]string{"retention.ms": "120000", "segment.ms": "3600000"}, altered.Set); diff != "" {
			t.Errorf("set (-want +got):\n%s", diff)
		}
		return ""
	})
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return topic.Partitions == 3 && len(topic.Config) == 2 })
}

// startFake is a broker of the test's own, on which it may inject faults.
func startFake(t *testing.T) *env.Kafka {
	t.Helper()
	own, err := env.StartFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return own
}

// What others have set before is not ours when it leaves the spec.
func TestEnsureTopicTakesNothingOver(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("found")
	follow(t, cluster, kafka.TopicSpec{Name: name, Partitions: 1, Config: map[string]string{"retention.ms": "-1", "segment.ms": "7200000"}})

	spec := kafka.TopicSpec{Name: name, Config: map[string]string{"retention.ms": "-1", "segment.ms": "3600000"}}
	found := ensure(t, cluster, &spec)
	if diff := cmp.Diff(map[string]string{"segment.ms": "3600000"}, found.Set); diff != "" || !found.Before.Exists {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return topic.Config["segment.ms"] == "3600000" })
	spec.Config = nil
	left := ensure(t, cluster, &spec)
	if diff := cmp.Diff([]string{"config segment.ms: 3600000 -> default"}, words(left.Changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	awaitTopic(t, cluster, name, func(topic kafka.Topic) bool {
		return cmp.Equal(map[string]string{"retention.ms": "-1"}, topic.Config)
	})
}

func TestReservedTopics(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	const want = "topic __consumer_offsets is reserved: names that begin with __ are Kafka's own"
	spec := kafka.TopicSpec{Name: "__consumer_offsets", Config: map[string]string{"cleanup.policy": "delete"}}
	_, err := cluster.EnsureTopic(t.Context(), spec)
	wantError(t, err, kafka.Rejected, kafka.ReservedName, want)
	err = cluster.ApplyTopic(t.Context(), spec.Name, []kafka.Change{{Kind: kafka.SetConfig, Key: "cleanup.policy", Value: "delete"}})
	wantError(t, err, kafka.Rejected, kafka.ReservedName, want)
	err = cluster.DeleteTopic(t.Context(), spec.Name, "")
	wantError(t, err, kafka.Rejected, kafka.ReservedName, want)
}

// A broker that takes a key and does not show it, as managed Kafkas do.
func TestWhatIsNotShownIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	own := startFake(t)
	cluster := connectAs(t, config(own, own.Admin))
	name := env.Unique("swallowed")
	spec := kafka.TopicSpec{Name: name, Partitions: 1}
	ensure(t, cluster, &spec)
	alters := 0
	own.Fake.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		own.Fake.KeepControl()
		alters++
		asked := request.(*kmsg.IncrementalAlterConfigsRequest)
		response := asked.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for _, one := range asked.Resources {
			resource := kmsg.NewIncrementalAlterConfigsResponseResource()
			resource.ResourceType, resource.ResourceName = one.ResourceType, one.ResourceName
			response.Resources = append(response.Resources, resource)
		}
		return response, nil, true
	})
	spec.Config = map[string]string{"segment.ms": "3600000"}
	for i := range 20 {
		ensured := ensure(t, cluster, &spec)
		if ensured.After.Config["segment.ms"] != "3600000" {
			t.Errorf("call %d: %s", i, format(ensured))
		}
		if i > 0 && (len(ensured.Unshown) != 1 || ensured.Unshown[0].String() != "config segment.ms: default -> 3600000") {
			t.Errorf("call %d: %s", i, format(ensured))
		}
	}
	if alters != 1 {
		t.Errorf("20 calls made %d alterations", alters)
	}
}

// A key that somebody else takes back again and again.
func TestContestedChange(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	name := env.Unique("contested")
	spec := kafka.TopicSpec{Name: name, Partitions: 1, Config: map[string]string{"segment.ms": "3600000"}}
	ensure(t, cluster, &spec)
	showing := func(value string) {
		awaitTopic(t, cluster, name, func(topic kafka.Topic) bool { return topic.Config["segment.ms"] == value })
	}
	showing("3600000")
	for round := 1; round <= 3; round++ {
		if err := cluster.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "segment.ms", Value: "7200000"}}); err != nil {
			t.Fatal(err)
		}
		showing("7200000")
		if ensured := ensure(t, cluster, &spec); len(ensured.Changes) != 1 {
			t.Errorf("round %d: %s", round, format(ensured))
		}
		showing("3600000")
		var want []string
		if round == 3 {
			want = []string{"config segment.ms: 7200000 -> 3600000"}
		}
		if diff := cmp.Diff(want, words(ensure(t, cluster, &spec).Contested)); diff != "" {
			t.Errorf("round %d: contested (-want +got):\n%s", round, diff)
		}
	}
}

// Apache Kafka refuses a request that makes too many partitions with all its
// topics, and other limits do the same: the wish of one is not held against the
// others.
func TestOneTopicsWishIsItsOwn(t *testing.T) {
	t.Parallel()
	own := startFake(t)
	cluster := connectAs(t, config(own, own.Admin))
	greedy := env.Unique("greedy")
	own.Fake.ControlKey(int16(kmsg.CreateTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
		own.Fake.KeepControl()
		asked := request.(*kmsg.CreateTopicsRequest)
		response := asked.ResponseKind().(*kmsg.CreateTopicsResponse)
		var partitions int32
		for _, topic := range asked.Topics {
			partitions += topic.NumPartitions
			refused := kmsg.NewCreateTopicsResponseTopic()
			refused.Topic, refused.ErrorCode = topic.Topic, kerr.PolicyViolation.Code
			refused.ErrorMessage = kmsg.StringPtr("Excessively large number of partitions per request.")
			response.Topics = append(response.Topics, refused)
		}
		return response, nil, partitions > 5_000
	})
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		errs  = map[string]error{}
	)
	create := func(name string, partitions int32) {
		group.Go(func() {
			_, err := cluster.EnsureTopic(t.Context(), kafka.TopicSpec{Name: name, Partitions: partitions})
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
	}
	create(greedy, 6_000)
	for i := range 40 {
		create(fmt.Sprintf("%s-modest-%d", greedy, i), 1)
	}
	group.Wait()
	for name, err := range errs {
		if name == greedy {
			wantError(t, err, kafka.Rejected, kafka.PolicyViolation, "Excessively large number of partitions")
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A creation whose answer is lost is not a stranger's topic, and not an error.
func TestCreationWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	own := startFake(t)
	cluster := connectAs(t, config(own, own.Admin))
	name := env.Unique("lost")
	own.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: name, Err: kerr.RequestTimedOut, Count: 1})
	spec := kafka.TopicSpec{Name: name, Partitions: 2}
	if _, err := cluster.EnsureTopic(t.Context(), spec); kafka.Classify(err).Class != kafka.Transient {
		t.Errorf("got %v, want a transient error", err)
	}
	if again := ensure(t, cluster, &spec); again.After.Partitions != 2 {
		t.Errorf("then: %s", format(again))
	}
}
