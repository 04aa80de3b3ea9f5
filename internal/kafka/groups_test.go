package kafka_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// join runs a member until the end of the test, or until left is called.
func join(t *testing.T, options ...kgo.Opt) (leave func()) {
	t.Helper()
	shared := env.SharedKafka(t)
	member, err := kgo.NewClient(append(shared.Options(shared.Admin), options...)...)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !member.PollFetches(t.Context()).IsClientClosed() && t.Context().Err() == nil {
		}
	}()
	leave = func() {
		member.Close()
		<-done
	}
	t.Cleanup(leave)
	return leave
}

// awaitGroup polls until the group is as wanted.
func awaitGroup(t *testing.T, cluster *kafka.Cluster, id string, want kafka.GroupState) {
	t.Helper()
	env.Await(t, func() string {
		return cmp.Diff(map[string]kafka.GroupState{id: want}, cluster.DescribeGroups(t.Context(), []string{id}))
	})
}

func TestDescribeGroups(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	topic, _ := writeLog(t, 2, nil)
	id := func(kind string) string { return env.Unique("groups." + kind) }
	classic, consumer, share, committed, absent := id("classic"), id("consumer"), id("share"), id("committed"), id("absent")

	leave := join(t, kgo.ConsumerGroup(classic), kgo.ConsumeTopics(topic))
	join(t, kgo.ConsumerGroup(classic), kgo.ConsumeTopics(topic))
	join(t, kgo.ConsumerGroup(consumer), kgo.ConsumeTopics(topic), kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	join(t, kgo.ShareGroup(share), kgo.ConsumeTopics(topic))
	commit(t, committed, topic, map[int32]int64{0: 0})

	want := map[string]kafka.GroupState{
		classic:   {State: "Stable", Type: kafka.Classic, Members: 2},
		consumer:  {State: "Stable", Type: kafka.Consumer, Members: 1},
		share:     {State: "Stable", Type: kafka.Share, Members: 1},
		committed: {State: "Empty", Type: kafka.Classic},
	}
	env.Await(t, func() string {
		return cmp.Diff(want, cluster.DescribeGroups(t.Context(), []string{absent, classic, committed, consumer, share, classic}))
	})
	leave()
	awaitGroup(t, cluster, classic, kafka.GroupState{State: "Stable", Type: kafka.Classic, Members: 1})
}

func TestDescribeGroupsOfAStranger(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	user := shared.User(t, env.Unique("stranger"))
	cluster := connectAs(t, config(shared, user))
	group := env.Unique("groups.secret")
	topic, _ := writeLog(t, 1, nil)

	described := cluster.DescribeGroups(t.Context(), []string{group})[group].Err
	expectError(t, described, kafka.Rejected, kafka.Unauthorized, "describe group "+group+": User:"+user.Name+" needs DESCRIBE on Group "+group)
	commits := cluster.CommittedOffsets(t.Context(), []string{group})[group].Err
	expectError(t, commits, kafka.Rejected, kafka.Unauthorized, "read committed offsets of group "+group+": User:"+user.Name+" needs DESCRIBE on Group "+group)
	offsets := cluster.PartitionOffsets(t.Context(), map[string][]time.Time{topic: nil})[topic].Err
	expectError(t, offsets, kafka.Rejected, kafka.Unauthorized, "read offsets of topic "+topic+": User:"+user.Name+" needs DESCRIBE on Topic "+topic)
}

// expectError compares with what a controller shows.
func expectError(t *testing.T, err error, class kafka.Class, reason, message string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", message)
	}
	got := kafka.Classify(err)
	if got.Class != class || got.Reason != reason || !strings.Contains(got.Message, message) {
		t.Errorf("got %v, %s, %q\nwant %v, %s, %q", got.Class, got.Reason, got.Message, class, reason, message)
	}
}

// TestOldBrokers asks brokers that know neither the new group protocols nor
// several groups in one OffsetFetch.
func TestOldBrokers(t *testing.T) {
	t.Parallel()
	const topic = "orders"
	old, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, topic), kfake.MaxVersions(kversion.V2_8_0()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(old.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)

	var ids []string
	commits := map[string]kafka.Commits{"absent": {Offsets: map[kafka.Partition]int64{}}}
	groups := map[string]kafka.GroupState{}
	for i := range 10 {
		id := fmt.Sprintf("group-%d", i)
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, int64(i), -1)
		if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), id, offsets); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		commits[id] = kafka.Commits{Offsets: map[kafka.Partition]int64{{Topic: topic}: int64(i)}}
		groups[id] = kafka.GroupState{State: "Empty", Type: kafka.Classic}
	}
	cluster := connectAs(t, kafka.Config{BootstrapServers: old.ListenAddrs()})
	ids = append(ids, "absent")
	if diff := cmp.Diff(groups, cluster.DescribeGroups(t.Context(), ids)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(commits, cluster.CommittedOffsets(t.Context(), ids)); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

func TestGroupsAndOffsetsOfAClusterThatIsAway(t *testing.T) {
	t.Parallel()
	gone, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	servers := gone.ListenAddrs()
	cluster := connectAs(t, kafka.Config{BootstrapServers: servers})
	gone.Close()
	for _, err := range []error{
		cluster.DescribeGroups(t.Context(), []string{"a", "b"})["b"].Err,
		cluster.CommittedOffsets(t.Context(), []string{"a", "b"})["b"].Err,
		cluster.PartitionOffsets(t.Context(), map[string][]time.Time{"b": nil})["b"].Err,
	} {
		expectError(t, err, kafka.Transient, kafka.Unreachable, "no broker answers at "+servers[0]+" (")
	}
}
