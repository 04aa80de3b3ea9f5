package controller

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
)

// laneRetention is how long the failed, retry and wait topics keep a record at
// least: a schedule must fit into it, and an outage of the worker or the
// service too.
const laneRetention = 7 * 24 * time.Hour

// lane makes the dead letter topics of a group, and counts its dead letters.
// Without a policy it makes none, and leaves those that exist. One topic that
// fails does not keep the others from being made. Status lists the lane where
// its topics' names are the group's. Errors are halts.
func (r *ConsumerGroupReconciler) lane(ctx context.Context, before, group *v1alpha1.ConsumerGroup, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster, sources []*v1alpha1.Topic, policy *v1alpha1.DeadLetterPolicy) error {
	was := group.Status.DeadLetters
	group.Status.DeadLetters = nil
	if policy == nil {
		return nil
	}
	id := groupID(group)
	lane := &v1alpha1.DeadLetterStatus{Topic: deadletter.DLT(id), WaitTopics: int32(len(policy.Status.Schedule))}
	if was != nil {
		lane.WaitTopics = max(lane.WaitTopics, was.WaitTopics)
	}
	names, err := deadletter.Topics(id, int(lane.WaitTopics))
	if err != nil {
		return stall(kafka.InvalidTopicName, "%v", err)
	}
	if err := r.claimLane(ctx, cluster.Name, names); err != nil {
		return err
	}
	group.Status.DeadLetters = lane
	if was == nil || was.WaitTopics != lane.WaitTopics {
		// From now on no Topic can claim them.
		if err := r.record(ctx, before, group); err != nil {
			return err
		}
	}

	type result struct {
		ensured
		err error
	}
	results := make([]chan result, len(names))
	for i, name := range names {
		spec := laneTopic(name, cluster, sources)
		if name == lane.Topic {
			spec.Config["retention.ms"] = millis(policy.Spec.DeadLetter.Retention.Duration)
		}
		results[i] = make(chan result, 1)
		// At once: the seam makes one request of them.
		go func() {
			found, err := ensureLaneTopic(ctx, connection, spec, name == lane.Topic && !policy.Spec.Suspend)
			results[i] <- result{found, err}
		}()
	}
	var failures []error
	var changed []string
	for i, name := range names {
		one := <-results[i]
		failures = append(failures, one.err)
		if len(one.changes) > 0 {
			changed = append(changed, "topic "+name+": "+changeWords(one.changes))
		}
	}
	if len(changed) > 0 {
		r.event(group, "DeadLetterTopicsChanged", "Apply", "%s", strings.Join(changed, "; "))
	}
	if err := together(failures...); err != nil {
		return err
	}
	lane.Depth = depthOf(connection.PartitionOffsets(ctx, map[string][]time.Time{lane.Topic: nil})[lane.Topic])
	return nil
}

// ensureLaneTopic makes a topic of a lane what spec says at least: sources may
// have left the group, so a lane may be wider than those that are left, and
// unless exact it may keep records longer.
func ensureLaneTopic(ctx context.Context, connection *kafka.Cluster, spec kafka.TopicSpec, exact bool) (ensured, error) {
	have, err := connection.ObserveTopic(ctx, spec.Name)
	if err != nil {
		return ensured{}, kafkaHalt(err)
	}
	spec.Partitions = max(spec.Partitions, have.Partitions)
	if kept := have.Config["retention.ms"]; !exact && longer(kept, spec.Config["retention.ms"]) {
		spec.Config["retention.ms"] = kept
	}
	return ensureTopic(ctx, connection, spec, have)
}

// longer says whether one retention.ms keeps records longer than another; −1 is
// for ever. What cannot be read keeps nothing.
func longer(one, other string) bool {
	kept := func(millis string) uint64 {
		n, err := strconv.ParseInt(millis, 10, 64)
		if err != nil {
			return 0
		}
		return uint64(n) // −1 becomes the largest
	}
	return kept(one) > kept(other)
}

// laneTopic is what a topic of a lane is like: as many partitions as the
// widest source, so that order per key holds within the lane.
func laneTopic(name string, cluster *v1alpha1.KafkaCluster, sources []*v1alpha1.Topic) kafka.TopicSpec {
	spec := kafka.TopicSpec{
		Name: name,
		// Whatever the brokers' default is: compaction would lose records.
		Config:          map[string]string{"retention.ms": millis(laneRetention), "cleanup.policy": "delete"},
		DefaultReplicas: int16(orZero(cluster.Spec.Defaults.Replicas)),
		DefaultConfig:   cluster.Spec.Defaults.Config,
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
