package kafka_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-dev/weir/internal/kafka"
)

func TestPlanTopic(t *testing.T) {
	t.Parallel()
	have := kafka.Topic{
		Name: "shop.orders", ID: "x", Exists: true, Partitions: 6, Replicas: 3,
		Config: map[string]string{"retention.ms": "1000", "cleanup.policy": "compact,delete", "min.cleanable.dirty.ratio": "0.5"},
	}
	absent := kafka.Topic{Name: "shop.orders"}
	type config = map[string]string
	for _, test := range []struct {
		reason  string
		want    kafka.TopicSpec
		have    kafka.Topic
		changes []string
		refused []string
	}{
		{
			reason:  "an absent topic is created as specified",
			want:    kafka.TopicSpec{Partitions: 3, Replicas: 2, Config: config{"retention.ms": "1"}, DefaultPartitions: 9, DefaultReplicas: 9},
			have:    absent,
			changes: []string{"created with 3 partitions, 2 replicas, config retention.ms=1"},
		},
		{
			reason:  "the defaults fill in what the spec leaves open",
			want:    kafka.TopicSpec{Config: config{"a": "1"}, DefaultPartitions: 6, DefaultReplicas: 3, DefaultConfig: config{"a": "2", "b": "2"}},
			have:    absent,
			changes: []string{"created with 6 partitions, 3 replicas, config a=1 b=2"},
		},
		{
			reason:  "the broker fills in the rest",
			have:    absent,
			changes: []string{"created with default partitions, default replicas"},
		},
		{
			reason: "an empty spec manages nothing",
			have:   have,
		},
		{
			reason: "defaults are for creation only",
			want:   kafka.TopicSpec{DefaultPartitions: 9, DefaultReplicas: 9, DefaultConfig: config{"retention.ms": "9", "b": "9"}},
			have:   have,
		},
		{
			reason: "nothing differs",
			want:   kafka.TopicSpec{Partitions: 6, Replicas: 3, Config: config{"retention.ms": "1000"}, Set: config{"retention.ms": "1000"}},
			have:   have,
		},
		{
			reason: "Kafka's notation of a value is the same value",
			want:   kafka.TopicSpec{Config: config{"cleanup.policy": "compact, delete", "min.cleanable.dirty.ratio": "0.50", "retention.ms": " 1000"}},
			have:   have,
		},
		{
			reason: "a list is a set",
			want:   kafka.TopicSpec{Config: config{"cleanup.policy": "delete, compact,compact"}},
			have:   have,
		},
		{
			reason:  "another list",
			want:    kafka.TopicSpec{Config: config{"cleanup.policy": "delete,delete"}},
			have:    have,
			changes: []string{"config cleanup.policy: compact,delete -> delete,delete"},
		},
		{
			reason:  "more partitions",
			want:    kafka.TopicSpec{Partitions: 12},
			have:    have,
			changes: []string{"partitions: 6 -> 12"},
		},
		{
			reason:  "fewer partitions are refused, the rest is planned",
			want:    kafka.TopicSpec{Name: "shop.orders", Partitions: 3, Config: config{"retention.ms": "2000"}},
			have:    have,
			changes: []string{"config retention.ms: 1000 -> 2000"},
			refused: []string{"Rejected PartitionsNotShrinkable: topic shop.orders has 6 partitions and Kafka cannot take partitions away; set partitions to 6 or more instead of 3"},
		},
		{
			reason:  "another number of replicas is refused, the rest is planned",
			want:    kafka.TopicSpec{Name: "shop.orders", Partitions: 7, Replicas: 1},
			have:    have,
			changes: []string{"partitions: 6 -> 7"},
			refused: []string{"Rejected ReplicasImmutable: topic shop.orders has 3 replicas and Weir does not move replicas yet; set replicas to 3 instead of 1 or leave it out, or reassign the partitions with kafka-reassign-partitions"},
		},
		{
			reason:  "set what is missing and what differs, by key",
			want:    kafka.TopicSpec{Config: config{"segment.ms": "5", "retention.ms": "604800000"}},
			have:    have,
			changes: []string{"config retention.ms: 1000 -> 604800000", "config segment.ms: default -> 5"},
		},
		{
			reason:  "a key that left the spec is reset where it is as we had set it",
			want:    kafka.TopicSpec{Set: config{"retention.ms": "1000"}},
			have:    have,
			changes: []string{"config retention.ms: 1000 -> default"},
		},
		{
			reason: "a key that left the spec and that somebody else has changed since",
			want:   kafka.TopicSpec{Set: config{"retention.ms": "2000"}},
			have:   have,
		},
		{
			reason: "a key that left the spec and is reset already",
			want:   kafka.TopicSpec{Set: config{"segment.ms": "1"}},
			have:   have,
		},
		{
			reason: "a stranger's key is left alone",
			want:   kafka.TopicSpec{Config: config{"retention.ms": "1000"}},
			have:   have,
		},
	} {
		plan := kafka.PlanTopic(test.want, test.have)
		var changes, refused []string
		for _, change := range plan.Changes {
			changes = append(changes, change.String())
		}
		for _, refusal := range plan.Refused {
			refused = append(refused, fmt.Sprintf("%s %s: %s", refusal.Class, refusal.Reason, refusal.Message))
		}
		if diff := cmp.Diff(test.changes, changes); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", test.reason, diff)
		}
		if diff := cmp.Diff(test.refused, refused); diff != "" {
			t.Errorf("%s: refused (-want +got):\n%s", test.reason, diff)
		}
	}
}

// TestPlanTopicConverges applies random plans to a model of a topic: then there
// is nothing left to plan, the spec holds but for what was refused, and no key
// that is not ours has moved.
func TestPlanTopicConverges(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "c", "d"}
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(1, seed))
		config := func() map[string]string {
			config := map[string]string{}
			for _, key := range keys {
				if random.IntN(2) == 0 {
					config[key] = strconv.Itoa(random.IntN(3))
				}
			}
			return config
		}
		want := kafka.TopicSpec{
			Name: "t", Partitions: random.Int32N(4), Replicas: int16(random.IntN(3)),
			Config: config(), Set: config(),
			DefaultPartitions: 1 + random.Int32N(3), DefaultReplicas: int16(1 + random.IntN(2)), DefaultConfig: config(),
		}
		have := kafka.Topic{Name: "t"}
		if random.IntN(4) > 0 {
			have = kafka.Topic{Name: "t", Exists: true, Partitions: 1 + random.Int32N(4), Replicas: int16(1 + random.IntN(2)), Config: config()}
		}

		plan := kafka.PlanTopic(want, have)
		after := model(have, plan.Changes)
		if !have.Exists {
			want.Set = nil // a fresh topic has no key that left the spec
		}
		if again := kafka.PlanTopic(want, after); len(again.Changes) > 0 {
			t.Fatalf("seed %d: planned again: %v\nwant %+v\nhave %+v", seed, again.Changes, want, have)
		}
		for key, value := range want.Config {
			if after.Config[key] != value {
				t.Fatalf("seed %d: %s is %q, want %q", seed, key, after.Config[key], value)
			}
		}
		if want.Partitions > 0 && after.Partitions != want.Partitions && len(plan.Refused) == 0 {
			t.Fatalf("seed %d: %d partitions, want %d, and nothing refused", seed, after.Partitions, want.Partitions)
		}
		if after.Partitions < have.Partitions {
			t.Fatalf("seed %d: shrunk from %d to %d partitions", seed, have.Partitions, after.Partitions)
		}
		for key, value := range have.Config {
			_, declared := want.Config[key]
			set, ours := want.Set[key]
			if kept := !declared && (!ours || set != value); kept && after.Config[key] != value {
				t.Fatalf("seed %d: a stranger's key %s moved from %q to %q", seed, key, value, after.Config[key])
			}
		}
	}
}

// model is what Kafka makes of the changes.
func model(topic kafka.Topic, changes []kafka.Change) kafka.Topic {
	topic.Config = maps.Clone(topic.Config)
	for _, change := range changes {
		switch change.Kind {
		case kafka.CreateTopic:
			topic = kafka.Topic{Name: topic.Name, Exists: true, Partitions: change.Partitions, Replicas: change.Replicas, Config: maps.Clone(change.Config)}
		case kafka.GrowTopic:
			topic.Partitions = change.Partitions
		case kafka.SetConfig:
			topic.Config[change.Key] = change.Value
		case kafka.ResetConfig:
			delete(topic.Config, change.Key)
		}
	}
	return topic
}
