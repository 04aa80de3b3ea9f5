package retry

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/relay/config"
)

// countWaiting counts the records of groups that are drained which are still in
// their failed and wait topics, by group ID: what lies between the offset that the
// workers committed and the end of each partition. A group that cannot be counted
// now is missing.
func (c *checker) countWaiting(ctx context.Context, consumerGroup string, groups []config.RetryGroup) map[string]int64 {
	counted := map[string]int64{}
	var topics []string
	for _, g := range groups {
		if g.Draining != "" {
			topics = append(topics, read(g)...)
		}
	}
	if len(topics) == 0 {
		return counted
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	admin := kadm.NewClient(c.client)
	// The commits first: what is moved meanwhile counts as waiting still.
	committed, err := admin.FetchOffsetsForTopics(ctx, consumerGroup, topics...)
	if err != nil {
		return counted
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return counted
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return counted
	}
	for _, g := range groups {
		if g.Draining == "" {
			continue
		}
		if waiting, known := waitingIn(read(g), committed, starts, ends); known {
			counted[g.Group] = waiting
		}
	}
	return counted
}

// waitingIn adds up the topics of a group; known says whether each partition was
// told of.
func waitingIn(topics []string, committed kadm.OffsetResponses, starts, ends kadm.ListedOffsets) (waiting int64, known bool) {
	for _, topic := range topics {
		if len(ends[topic]) == 0 {
			return 0, false
		}
		for partition, end := range ends[topic] {
			start, listed := starts.Lookup(topic, partition)
			if end.Err != nil || !listed || start.Err != nil {
				return 0, false
			}
			from := start.Offset
			if at, ok := committed.Lookup(topic, partition); ok {
				if at.Err != nil {
					return 0, false
				}
				from = max(from, at.At)
			}
			waiting += max(end.Offset-from, 0)
		}
	}
	return waiting, true
}
