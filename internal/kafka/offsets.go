package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition names one partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

// Commits are the committed offsets of a group.
type Commits struct {
	// Offsets holds the partitions that the group has committed for, of any
	// topic that still exists. An offset is that of the next record to read.
	Offsets map[Partition]int64
	// Err is a *Error that says why the offsets could not be read; Offsets is
	// nil then.
	Err error
}

// CommittedOffsets reads what the groups have committed. All groups of a
// coordinator share one request; to brokers before 3.0, which cannot do that,
// it is one request per group. Every group is in the result, and a group that
// has not committed anything, or does not exist, has no offsets; a failure is
// that group's alone. Share groups commit no offsets.
func (c *Cluster) CommittedOffsets(ctx context.Context, ids []string) map[string]Commits {
	req := kmsg.NewPtrOffsetFetchRequest()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		group := kmsg.NewOffsetFetchRequestGroup()
		group.Group = id
		req.Groups = append(req.Groups, group)
	}
	commits := make(map[string]Commits, len(req.Groups))
	if len(req.Groups) == 0 {
		return commits
	}
	for _, shard := range c.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			for _, id := range groupsOf(shard.Req.(*kmsg.OffsetFetchRequest)) {
				commits[id] = Commits{Err: c.readingCommits(id).failed(shard.Err)}
			}
			continue
		}
		for _, group := range shard.Resp.(*kmsg.OffsetFetchResponse).Groups {
			commits[group.Group] = c.commitsOf(group)
		}
	}
	return commits
}

// groupsOf lists the groups of a request as the client has split it: one group
// is written in the fields of the old versions.
func groupsOf(req *kmsg.OffsetFetchRequest) []string {
	if len(req.Groups) == 0 {
		return []string{req.Group}
	}
	ids := make([]string, 0, len(req.Groups))
	for _, group := range req.Groups {
		ids = append(ids, group.Group)
	}
	return ids
}

func (c *Cluster) commitsOf(group kmsg.OffsetFetchResponseGroup) Commits {
	err := kerr.ErrorForCode(group.ErrorCode)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return Commits{Err: c.readingCommits(group.Group).refused(group.ErrorCode, nil)}
	}
	offsets := make(map[Partition]int64)
	for _, topic := range group.Topics {
		for _, p := range topic.Partitions {
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
				// A commit that outlived its topic.
			case err != nil:
				return Commits{Err: c.readingCommits(group.Group).refused(p.ErrorCode, nil)}
			case p.Offset >= 0:
				offsets[Partition{topic.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return Commits{Offsets: offsets}
}

func (c *Cluster) readingCommits(group string) action {
	return action{c, "read committed offsets of group " + group, on(ResourceGroup, group, OperationDescribe)}
}

// TopicOffsets are the offsets of a topic's partitions.
type TopicOffsets struct {
	// Partitions is indexed by the number of the partition.
	Partitions []Offsets
	// Err is a *Error that says why nothing is known of the topic (with reason
	// TopicNotFound where it is absent); Partitions is nil then.
	Err error
}

// Offsets are the bounds of a partition's log, and places in it by time.
type Offsets struct {
	// Start is the log start offset.
	Start int64
	// End is the high watermark, at least Start.
	End int64
	// After holds, for each time asked for, the first offset whose record's
	// timestamp is not earlier, or End where there is none. It lies between
	// Start and End.
	After []int64
	// Err is a *Error that says why the partition could not be read, for want
	// of a leader for example; the other fields mean nothing then.
	Err error
}

// PartitionOffsets reads the offsets of all partitions of the topics that are
// the keys of at, each topic with its own times, cut to Kafka's milliseconds.
// It costs one Metadata request, and of every broker two ListOffsets and one
// more for each time of the topic that has most. Every topic is in the result;
// a failure is that topic's or that partition's alone.
//
// End is read before the places by time, so that records which arrive
// meanwhile never count as records before a place.
func (c *Cluster) PartitionOffsets(ctx context.Context, at map[string][]time.Time) map[string]TopicOffsets {
	topics := c.partitionsOf(ctx, at)
	earliest := func(string) (int64, bool) { return -2, true }
	latest := func(string) (int64, bool) { return -1, true }
	rounds := c.listOffsets(ctx, topics, earliest, latest)
	rounds[0].each(c, topics, func(p *Offsets, offset int64) { p.Start = offset })
	rounds[1].each(c, topics, func(p *Offsets, offset int64) { p.End = max(offset, p.Start) })

	var places []timestampOf
	for i := range maxLen(at) {
		places = append(places, func(topic string) (int64, bool) {
			if times := at[topic]; i < len(times) {
				return max(0, times[i].UnixMilli()), true // below zero has other meanings
			}
			return 0, false
		})
	}
	for i, round := range c.listOffsets(ctx, topics, places...) {
		round.each(c, topics, func(p *Offsets, offset int64) {
			if offset < 0 {
				offset = p.End
			}
			p.After[i] = min(max(offset, p.Start), p.End)
		})
	}
	return topics
}

// partitionsOf makes room for the answers.
func (c *Cluster) partitionsOf(ctx context.Context, at map[string][]time.Time) map[string]TopicOffsets {
	topics := make(map[string]TopicOffsets, len(at))
	if len(at) == 0 {
		return topics
	}
	req := kmsg.NewPtrMetadataRequest()
	for topic := range at {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		for topic := range at {
			topics[topic] = TopicOffsets{Err: c.readingOffsets(topic).failed(err)}
		}
		return topics
	}
	for _, rt := range resp.Topics {
		if rt.Topic == nil {
			continue
		}
		topic := *rt.Topic
		if rt.ErrorCode != 0 {
			topics[topic] = TopicOffsets{Err: c.readingOffsets(topic).refused(rt.ErrorCode, nil)}
			continue
		}
		partitions, times := make([]Offsets, len(rt.Partitions)), len(at[topic])
		after := make([]int64, len(partitions)*times)
		for i := range partitions {
			partitions[i].After = after[i*times : (i+1)*times : (i+1)*times]
		}
		topics[topic] = TopicOffsets{Partitions: partitions}
	}
	return topics
}

// timestampOf gives the timestamp to ask a topic's partitions for, or false to
// leave the topic out.
type timestampOf func(topic string) (int64, bool)

// listedOffsets is the answer of all brokers to one question.
type listedOffsets []kgo.ResponseShard

// listOffsets asks all questions at once and returns the answers in their order.
func (c *Cluster) listOffsets(ctx context.Context, topics map[string]TopicOffsets, questions ...timestampOf) []listedOffsets {
	answers := make([]listedOffsets, len(questions))
	var asked sync.WaitGroup
	for i, timestamp := range questions {
		req := kmsg.NewPtrListOffsetsRequest()
		for topic, offsets := range topics {
			at, ok := timestamp(topic)
			if !ok || len(offsets.Partitions) == 0 {
				continue
			}
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = topic
			for p := range offsets.Partitions {
				rp := kmsg.NewListOffsetsRequestTopicPartition()
				rp.Partition = int32(p)
				rp.Timestamp = at
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		if len(req.Topics) > 0 {
			asked.Go(func() { answers[i] = c.client.RequestSharded(ctx, req) })
		}
	}
	asked.Wait()
	return answers
}

// each calls set with every offset of the answer, and notes in the partitions
// why there is none.
func (shards listedOffsets) each(c *Cluster, topics map[string]TopicOffsets, set func(*Offsets, int64)) {
	for _, shard := range shards {
		if shard.Err != nil {
			for _, topic := range shard.Req.(*kmsg.ListOffsetsRequest).Topics {
				err := c.readingOffsets(topic.Topic).failed(shard.Err)
				for _, p := range topic.Partitions {
					topics[topic.Topic].Partitions[p.Partition].Err = err
				}
			}
			continue
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			partitions := topics[topic.Topic].Partitions
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					partitions[p.Partition].Err = c.readingOffsets(topic.Topic).refused(p.ErrorCode, nil)
					continue
				}
				set(&partitions[p.Partition], p.Offset)
			}
		}
	}
}

func (c *Cluster) readingOffsets(topic string) action {
	return action{c, "read offsets of topic " + topic, on(ResourceTopic, topic, OperationDescribe)}
}

func maxLen(at map[string][]time.Time) int {
	longest := 0
	for _, times := range at {
		longest = max(longest, len(times))
	}
	return longest
}
