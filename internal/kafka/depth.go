package kafka

import (
	"cmp"
	"context"
	"time"
)

// Depth is how many records lie between the start and the end of a topic's
// partitions. What is asked while a request is under way is asked together by the
// next one. An error is a *Error.
func (c *Cluster) Depth(ctx context.Context, topic string) (int64, error) {
	depth, err := c.depths.do(ctx, topic)
	return depth, c.readingOffsets(topic).failed(err)
}

func (c *Cluster) countRecords(ctx context.Context, topics []string) []outcome[int64] {
	at := make(map[string][]time.Time, len(topics))
	for _, topic := range topics {
		at[topic] = nil
	}
	found := c.PartitionOffsets(ctx, at)
	outcomes := make([]outcome[int64], len(topics))
	for i, topic := range topics {
		outcomes[i] = found[topic].depth()
	}
	return outcomes
}

// depth is how many records the partitions hold together.
func (t TopicOffsets) depth() outcome[int64] {
	depth := outcome[int64]{err: t.Err}
	for _, partition := range t.Partitions {
		depth.value += partition.End - partition.Start
		depth.err = cmp.Or(depth.err, partition.Err)
	}
	return depth
}
