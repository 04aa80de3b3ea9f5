package kafka_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// writeLog makes a topic of its own, and writes records of the given times.
func writeLog(t *testing.T, partitions int32, records map[int32][]time.Time) (topic string, admin *kadm.Client) {
	t.Helper()
	shared := env.SharedKafka(t)
	client := shared.Client(t, shared.Admin, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin = kadm.NewClient(client)
	topic = env.Unique("offsets")
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for partition, times := range records {
		for _, at := range times {
			record := &kgo.Record{Topic: topic, Partition: partition, Timestamp: at, Value: []byte("v")}
			if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cluster := connect(t)
	awaitTopic(t, cluster, topic, func(topic kafka.Topic) bool { return topic.Exists })
	return topic, admin
}

// commit commits as an administrator does for a group without members.
func commit(t *testing.T, group, topic string, offsets map[int32]int64) {
	t.Helper()
	shared := env.SharedKafka(t)
	commits := kadm.Offsets{}
	for partition, offset := range offsets {
		commits.AddOffset(topic, partition, offset, -1)
	}
	if err := kadm.NewClient(shared.Client(t, shared.Admin)).CommitAllOffsets(t.Context(), group, commits); err != nil {
		t.Fatal(err)
	}
}

func TestCommittedOffsets(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	topic, admin := writeLog(t, 3, nil)
	deleted, _ := writeLog(t, 1, nil)
	two, one, absent := env.Unique("commits.two"), env.Unique("commits.one"), env.Unique("commits.absent")
	commit(t, two, topic, map[int32]int64{0: 5, 2: 7})
	commit(t, one, topic, map[int32]int64{1: 0})
	commit(t, one, deleted, map[int32]int64{0: 1})
	if _, err := admin.DeleteTopic(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}

	want := map[string]kafka.Commits{
		two:    {Offsets: map[kafka.Partition]int64{{topic, 0}: 5, {topic, 2}: 7}},
		one:    {Offsets: map[kafka.Partition]int64{{topic, 1}: 0}},
		absent: {Offsets: map[kafka.Partition]int64{}},
	}
	env.Await(t, func() string { // the commit for a deleted topic goes a moment later, or stays
		got := cluster.CommittedOffsets(t.Context(), []string{one, two, absent, two})
		delete(got[one].Offsets, kafka.Partition{Topic: deleted})
		return cmp.Diff(want, got)
	})
	if got := cluster.CommittedOffsets(t.Context(), nil); len(got) != 0 {
		t.Errorf("of no group: %v", got)
	}
}

func TestPartitionOffsets(t *testing.T) {
	t.Parallel()
	base := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	topic, admin := writeLog(t, 3, map[int32][]time.Time{
		0: {at(0), at(10), at(10), at(20), at(30)},
		1: {at(15)},
	})
	trim := kadm.Offsets{}
	trim.AddOffset(topic, 0, 2, -1) // the record of at(0) and one of at(10)
	if _, err := admin.DeleteRecords(t.Context(), trim); err != nil {
		t.Fatal(err)
	}
	other, _ := writeLog(t, 1, map[int32][]time.Time{0: {at(0)}})
	absent := env.Unique("offsets.absent")

	want := map[string]kafka.TopicOffsets{
		topic: {Partitions: []kafka.Offsets{
			{Start: 2, End: 5, After: []int64{2, 2, 3, 3, 5, 2}},
			{Start: 0, End: 1, After: []int64{0, 0, 0, 1, 1, 0}},
			{Start: 0, End: 0, After: []int64{0, 0, 0, 0, 0, 0}},
		}},
		other: {Partitions: []kafka.Offsets{{Start: 0, End: 1, After: []int64{1}}}},
	}
	ask := map[string][]time.Time{
		topic:  {at(-1000), at(10), at(11), at(20), at(31), time.Time{}},
		other:  {at(1)},
		absent: {at(1)},
	}
	cluster := connect(t)
	env.Await(t, func() string {
		got := cluster.PartitionOffsets(t.Context(), ask)
		missing := got[absent].Err
		expectError(t, missing, kafka.Transient, kafka.TopicNotFound, "read offsets of topic "+absent+": ")
		delete(got, absent)
		return cmp.Diff(want, got)
	})
	if depth, err := cluster.Depth(t.Context(), topic); depth != 4 || err != nil {
		t.Errorf("the topic holds %d records, want 4 of the 6 written: %v", depth, err)
	}
	_, err := cluster.Depth(t.Context(), absent)
	expectError(t, err, kafka.Transient, kafka.TopicNotFound, "read offsets of topic "+absent+": ")
	if got := cluster.PartitionOffsets(t.Context(), nil); len(got) != 0 {
		t.Errorf("of no topic: %v", got)
	}
}

// TestPartitionOffsetsOfAPartitionThatFails needs a broker that can be told to.
func TestPartitionOffsetsOfAPartitionThatFails(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"), kfake.SeedTopics(1, "payments"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Partitions: []int32{1}, Err: kerr.UnknownServerError, Count: -1})
	cluster := connectAs(t, kafka.Config{BootstrapServers: fake.ListenAddrs()})
	got := cluster.PartitionOffsets(t.Context(), map[string][]time.Time{"orders": {time.Now()}, "payments": {time.Now()}})

	failed := got["orders"].Partitions[1]
	expectError(t, failed.Err, kafka.Transient, kafka.KafkaError, "read offsets of topic orders: UNKNOWN_SERVER_ERROR")
	for name, err := range map[string]error{
		"orders": got["orders"].Err, "orders 0": got["orders"].Partitions[0].Err, "orders 2": got["orders"].Partitions[2].Err,
		"payments": got["payments"].Err, "payments 0": got["payments"].Partitions[0].Err,
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// requests counts what a client sends, by request.
type requests struct {
	mu   sync.Mutex
	sent map[string]int
}

func (r *requests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		r.sent = map[string]int{}
	}
	r.sent[kmsg.NameForKey(key)]++
}

func TestACycleCostsAHandfulOfRequests(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	counted := &requests{}
	cluster, err := kafka.ConnectWithHooks(config(shared, shared.Admin), counted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	var ids []string
	at := map[string][]time.Time{}
	for i := range 20 {
		topic, _ := writeLog(t, 5, nil)
		at[topic] = []time.Time{time.Now(), time.Now().Add(-time.Minute)}
		ids = append(ids, env.Unique(fmt.Sprintf("cycle-%d", i)))
		commit(t, ids[i], topic, map[int32]int64{0: 0})
	}
	cycle := func() (missing string) {
		cluster.DescribeGroups(t.Context(), ids)
		cluster.CommittedOffsets(t.Context(), ids)
		for topic, offsets := range cluster.PartitionOffsets(t.Context(), at) {
			if offsets.Err != nil || len(offsets.Partitions) != 5 {
				missing = fmt.Sprintf("offsets of %s: %+v", topic, offsets)
			}
		}
		return missing
	}
	env.Await(t, cycle) // the first one learns who coordinates and who leads
	counted.mu.Lock()
	counted.sent = nil
	counted.mu.Unlock()
	cycle()

	counted.mu.Lock()
	defer counted.mu.Unlock()
	want := map[string]int{"ConsumerGroupDescribe": 1, "DescribeGroups": 1, "OffsetFetch": 1, "ListOffsets": 4}
	for _, key := range []string{"ApiVersions", "Metadata"} {
		if counted.sent[key] > 2 {
			t.Errorf("%d %s requests, want one or two", counted.sent[key], key)
		}
		delete(counted.sent, key)
	}
	if diff := cmp.Diff(want, counted.sent); diff != "" {
		t.Errorf("requests of one broker for 20 groups and 100 partitions (-want +got):\n%s", diff)
	}
}
