package controller

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
)

// laneRetention is how long the failed, retry and wait topics keep a record: a
// schedule must fit into it, and an outage of the worker or the service too.
const laneRetention = 7 * 24 * time.Hour

// lane makes the dead letter topics of a group, and counts its dead letters.
// Without a policy it makes none, and leaves those that exist. One topic that
// fails does not keep the others from being made.
func (r *ConsumerGroupReconciler) lane(ctx context.Context, group *v1alpha1.ConsumerGroup, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster, sources []*v1alpha1.Topic, policy *v1alpha1.DeadLetterPolicy) error {
	if policy == nil {
		group.Status.DeadLetters = nil
		return nil
	}
	id := groupID(group)
	lane := &v1alpha1.DeadLetterStatus{Topic: deadletter.DLT(id), WaitTopics: int32(len(policy.Status.Schedule))}
	if was := group.Status.DeadLetters; was != nil {
		lane.WaitTopics = max(lane.WaitTopics, was.WaitTopics)
	}
	group.Status.DeadLetters = lane
	topics, err := deadletter.Topics(id, int(lane.WaitTopics))
	if err != nil {
		return stall("InvalidTopicName", "%v", err)
	}
	results := make(chan error, len(topics))
	for _, topic := range topics {
		spec := laneTopic(topic, cluster, sources)
		if topic == lane.Topic {
			spec.Config = map[string]string{"retention.ms": millis(policy.Spec.DeadLetter.Retention.Duration)}
		}
		// At once: the seam makes one request of them.
		go func() {
			_, err := ensureTopic(ctx, connection, spec)
			results <- err
		}()
	}
	var failures []error
	for range topics {
		failures = append(failures, <-results)
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	lane.Depth = depthOf(connection.PartitionOffsets(ctx, map[string][]time.Time{lane.Topic: nil})[lane.Topic])
	return nil
}

// laneTopic is what a topic of a lane is like: as many partitions as the
// widest source, so that order per key holds within the lane.
func laneTopic(name string, cluster *v1alpha1.KafkaCluster, sources []*v1alpha1.Topic) kafka.TopicSpec {
	spec := kafka.TopicSpec{
		Name:            name,
		Config:          map[string]string{"retention.ms": millis(laneRetention)},
		DefaultReplicas: int16(orZero(cluster.Spec.Defaults.Replicas)),
	}
	for _, source := range sources {
		spec.Partitions = max(spec.Partitions, source.Status.Partitions)
	}
	return spec
}

// depthOf is the number of records in a topic; nil while it is not known.
func depthOf(topic kafka.TopicOffsets) *int64 {
	if topic.Err != nil {
		return nil
	}
	var depth int64
	for _, partition := range topic.Partitions {
		if partition.Err != nil {
			return nil
		}
		depth += partition.End - partition.Start
	}
	return &depth
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
