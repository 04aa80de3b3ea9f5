// Package lagging runs the lag collectors of package lag on the connections to
// the clusters, wakes the ConsumerGroups whose verdict changes, and serves the
// numbers as metrics. Whether a group lags package lag decides.
package lagging

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/lag"
)

// Collectors runs one lag collector a cluster, for the ConsumerGroups that are
// declared on it. It is a manager.Runnable: collectors run while Start does.
// Safe for concurrent use.
type Collectors struct {
	// connect returns the connection to a KafkaCluster that was made last, nil if
	// there is none.
	connect  func(cluster string) *kafka.Cluster
	interval time.Duration
	// wake is told of the ConsumerGroup whose verdict has become known or changed.
	wake func(types.NamespacedName)

	mu      sync.Mutex
	running map[string]*running // by KafkaCluster name
	start   chan *running
}

// running is a collector, and what ends it.
type running struct {
	*lag.Collector
	end chan struct{}
}

// New makes collectors that measure once an interval, reach a cluster by connect,
// and tell wake, which must not block, of the groups whose verdict has become
// known or changed.
func New(connect func(cluster string) *kafka.Cluster, interval time.Duration, wake func(types.NamespacedName)) *Collectors {
	return &Collectors{
		connect:  connect,
		interval: interval,
		wake:     wake,
		running:  map[string]*running{},
		start:    make(chan *running),
	}
}

// Start runs the collectors, those that are there and those that come, each
// until its cluster ends, and all until ctx does, and waits for them.
func (c *Collectors) Start(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case one := <-c.start:
			group.Go(func() { one.run(ctx) })
		}
	}
}

func (r *running) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() {
		select {
		case <-r.end:
			cancel()
		case <-ctx.Done():
		}
	})
	r.Run(ctx)
}

// End ends the collector of a KafkaCluster that is gone, and forgets its groups.
func (c *Collectors) End(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.running[cluster]; one != nil {
		close(one.end)
		delete(c.running, cluster)
	}
}

// NeedLeaderElection says that only the leader measures, since only the leader writes.
func (c *Collectors) NeedLeaderElection() bool { return true }

// Set declares a group on a cluster, under its ConsumerGroup's name.
func (c *Collectors) Set(ctx context.Context, cluster string, name types.NamespacedName, spec lag.Spec) {
	c.mu.Lock()
	one, ok := c.running[cluster]
	if !ok {
		source := &lagSource{connect: func() *kafka.Cluster { return c.connect(cluster) }}
		one = &running{lag.New(source, c.interval, c.changed), make(chan struct{})}
		c.running[cluster] = one
	}
	one.Set(name.String(), spec)
	c.mu.Unlock()
	if !ok {
		select {
		case c.start <- one:
		case <-ctx.Done(): // the manager stops
		}
	}
}

// Remove forgets a group.
func (c *Collectors) Remove(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.running {
		one.Remove(name.String())
	}
}

// Latest is the last report on a group.
func (c *Collectors) Latest(cluster string, name types.NamespacedName) (lag.Report, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.running[cluster]
	if one == nil {
		return lag.Report{}, false
	}
	return one.Latest(name.String())
}

// Reports are the last reports of all groups, keyed by cluster, then by
// "namespace/name" of the ConsumerGroup.
func (c *Collectors) Reports() map[string]map[string]lag.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]map[string]lag.Report, len(c.running))
	for cluster, one := range c.running {
		all[cluster] = one.Reports()
	}
	return all
}

func (c *Collectors) changed(key string) {
	namespace, name, _ := cutKey(key)
	c.wake(types.NamespacedName{Namespace: namespace, Name: name})
}

// lagSource shows a cluster to the collector.
type lagSource struct {
	// connect is the pool's connection, which it makes anew when the
	// KafkaCluster changes; nil when that is gone.
	connect func() *kafka.Cluster
}

// errNotConnected is what is known of a cluster whose KafkaCluster is gone.
var errNotConnected = &kafka.Error{
	Class: kafka.Transient, Reason: kafka.Unreachable, Message: "there is no connection to the cluster: its KafkaCluster is gone",
}

// each is the same answer for everything that was asked.
func each[V any](asked []string, answer V) map[string]V {
	answers := make(map[string]V, len(asked))
	for _, one := range asked {
		answers[one] = answer
	}
	return answers
}

// DescribeGroups implements lag.Source.
func (s *lagSource) DescribeGroups(ctx context.Context, ids []string) map[string]lag.Group {
	cluster := s.connect()
	if cluster == nil {
		return each(ids, lag.Group{Err: errNotConnected})
	}
	groups := map[string]lag.Group{}
	for id, group := range cluster.DescribeGroups(ctx, ids) {
		groups[id] = lag.Group(group)
	}
	return groups
}

// CommittedOffsets implements lag.Source.
func (s *lagSource) CommittedOffsets(ctx context.Context, ids []string) map[string]lag.Commits {
	cluster := s.connect()
	if cluster == nil {
		return each(ids, lag.Commits{Err: errNotConnected})
	}
	all := map[string]lag.Commits{}
	for id, commits := range cluster.CommittedOffsets(ctx, ids) {
		offsets := make(map[lag.Partition]int64, len(commits.Offsets))
		for partition, offset := range commits.Offsets {
			offsets[lag.Partition(partition)] = offset
		}
		all[id] = lag.Commits{Offsets: offsets, Err: commits.Err}
	}
	return all
}

// PartitionOffsets implements lag.Source.
func (s *lagSource) PartitionOffsets(ctx context.Context, at map[string][]time.Time) map[string]lag.Topic {
	cluster := s.connect()
	if cluster == nil {
		return each(slices.Collect(maps.Keys(at)), lag.Topic{Err: errNotConnected})
	}
	all := map[string]lag.Topic{}
	for name, topic := range cluster.PartitionOffsets(ctx, at) {
		partitions := make([]lag.Offsets, len(topic.Partitions))
		for i, offsets := range topic.Partitions {
			partitions[i] = lag.Offsets(offsets)
		}
		all[name] = lag.Topic{Partitions: partitions, Err: topic.Err}
	}
	return all
}
