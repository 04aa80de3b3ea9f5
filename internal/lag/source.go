package lag

import (
	"context"
	"time"
)

// Source is the cluster as the collector sees it. Failures are in the results,
// each with the group, topic or partition that it concerns. A call must return
// when its context ends.
type Source interface {
	// DescribeGroups describes groups by ID; those that do not exist are not
	// in the result.
	DescribeGroups(ctx context.Context, ids []string) map[string]Group
	// CommittedOffsets reads the commits of groups by ID. Every group is in
	// the result; one that does not exist has committed nothing.
	CommittedOffsets(ctx context.Context, ids []string) map[string]Commits
	// PartitionOffsets reads the offsets of the topics that are the keys of
	// at, each with its places at the given times. Every topic is in the result.
	PartitionOffsets(ctx context.Context, at map[string][]time.Time) map[string]Topic
}

// Group is a consumer group as its coordinator describes it.
type Group struct {
	// State is Kafka's word: Stable, Empty, PreparingRebalance, …
	State string
	// Type is Classic, Consumer or Share.
	Type string
	// Members is the number of members.
	Members int
	// Err says why the group could not be described.
	Err error
}

// typeShare is the Type of share groups, which commit no offsets.
const typeShare = "Share"

// Partition names one partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

// Commits are the committed offsets of a group.
type Commits struct {
	// Offsets has no entry for a partition without a commit. An offset is that
	// of the next record to read.
	Offsets map[Partition]int64
	// Err says why the commits could not be read.
	Err error
}

// Topic is the offsets of a topic's partitions.
type Topic struct {
	// Partitions is indexed by the number of the partition.
	Partitions []Offsets
	// Err says why the topic could not be read.
	Err error
}

// Offsets are the bounds of a partition's log, and places in it by time.
type Offsets struct {
	// Start is the log start offset, End the offset after the last record.
	Start, End int64
	// After holds, for each time asked for, the first offset whose record is
	// not earlier, or End.
	After []int64
	// Err says why the partition could not be read.
	Err error
}
