package lag

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// still is a Source whose answers are made before.
type still struct {
	groups  map[string]Group
	commits map[string]Commits
	topics  map[string]Topic
}

func (s still) DescribeGroups(context.Context, []string) map[string]Group { return s.groups }

func (s still) CommittedOffsets(context.Context, []string) map[string]Commits { return s.commits }

func (s still) PartitionOffsets(context.Context, map[string][]time.Time) map[string]Topic {
	return s.topics
}

// BenchmarkCycle is one cycle without the cluster's part: 1,000 groups with
// 100 partitions each.
func BenchmarkCycle(b *testing.B) {
	const groups, partitions = 1000, 100
	source := still{map[string]Group{}, map[string]Commits{}, map[string]Topic{}}
	c := New(source, DefaultInterval, func(string) {})
	for g := range groups {
		group, topic := fmt.Sprintf("group-%d", g), fmt.Sprintf("topic-%d", g)
		commits, offsets := map[Partition]int64{}, make([]Offsets, partitions)
		for p := range offsets {
			commits[Partition{topic, int32(p)}] = int64(900 + p)
			offsets[p] = Offsets{Start: 100, End: 1000, After: []int64{990, 960, 840, 360}}
		}
		source.groups[group] = Group{State: "Stable", Type: "Classic", Members: 3}
		source.commits[group] = Commits{Offsets: commits}
		source.topics[topic] = Topic{Partitions: offsets}
		c.Set(group, Spec{Group: group, Topics: []string{topic}, MaxTime: time.Minute, For: time.Minute})
	}
	b.ReportAllocs()
	for b.Loop() {
		c.cycle(b.Context())
		c.tell(time.Now())
	}
}
