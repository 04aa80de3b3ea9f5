package consumergroup

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/claims"
	"github.com/weir-dev/weir/internal/controller/ensure"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
)

// lane makes the dead letter topics of a group, and counts its dead letters.
// Without a policy it makes none, and leaves those that exist. One topic that
// fails does not keep the others from being made. Status lists the lane where
// its topics' names are the group's. Errors are halts.
func (r *Reconciler) lane(ctx context.Context, before, group *v1alpha1.ConsumerGroup, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster, sources []*v1alpha1.Topic, policy *v1alpha1.DeadLetterPolicy) error {
	was := group.Status.DeadLetters
	group.Status.DeadLetters = nil
	if policy == nil {
		return nil
	}
	id := claims.GroupID(group)
	lane := &v1alpha1.DeadLetterStatus{Topic: deadletter.DLT(id), WaitTopics: int32(len(policy.Status.Schedule))}
	if was != nil {
		lane.WaitTopics = max(lane.WaitTopics, was.WaitTopics)
	}
	names, err := deadletter.Topics(id, int(lane.WaitTopics))
	if err != nil {
		return halt.Stall(kafka.InvalidTopicName, "%v", err)
	}
	if err := r.Claims.Lane(ctx, cluster.Name, names); err != nil {
		return err
	}
	group.Status.DeadLetters = lane
	if was == nil || was.WaitTopics != lane.WaitTopics {
		// From now on no Topic can claim them.
		if err := r.Settler.Record(ctx, before, group); err != nil {
			return err
		}
	}

	found, failures := atOnce(names, func(i int) (kafka.Topic, error) {
		topic, err := connection.ObserveTopic(ctx, names[i])
		return topic, halt.Kafka(err)
	})
	// As many partitions as the widest source that is or was there, so that
	// order per key holds within the lane.
	var width int32
	for _, source := range sources {
		width = max(width, source.Status.Partitions)
	}
	for _, topic := range found {
		width = max(width, topic.Partitions)
	}
	made, ensureFailures := atOnce(names, func(i int) (kafka.Ensured, error) {
		if failures[i] != nil {
			return kafka.Ensured{}, nil
		}
		spec := laneTopic(names[i], width, largestRecord(cluster, sources), cluster, policy, found[i])
		ensured, err := connection.EnsureFound(ctx, spec, found[i])
		return ensured, ensure.Halt(spec.Name, ensured, err, r.Settler.Resync)
	})
	var changed []string
	for i, name := range names {
		if len(made[i].Changes) > 0 {
			changed = append(changed, "topic "+name+": "+ensure.Words(made[i].Changes))
		}
	}
	if len(changed) > 0 {
		r.Settler.Event(group, "DeadLetterTopicsChanged", "Apply", "%s", strings.Join(changed, "; "))
	}
	if err := halt.Together(append(failures, ensureFailures...)...); err != nil {
		return err
	}
	group.Status.DeadLetters.Depth = depthOf(connection.PartitionOffsets(ctx, map[string][]time.Time{lane.Topic: nil})[lane.Topic])
	return nil
}

// atOnce calls do for all names at once, so that the seam makes one request of
// them, and returns what it returned, in their order.
func atOnce[T any](names []string, do func(int) (T, error)) ([]T, []error) {
	results, errs := make([]T, len(names)), make([]error, len(names))
	var calls sync.WaitGroup
	for i := range names {
		calls.Go(func() { results[i], errs[i] = do(i) })
	}
	calls.Wait()
	return results, errs
}

// laneTopic is what a topic of a lane is like, given what it was found like.
// Largest is its limit for a record, in bytes.
// The dead letter topic keeps records as long as the policy says. The others,
// and under a suspended policy that one too, may keep them longer than asked.
func laneTopic(name string, width int32, largest int64, cluster *v1alpha1.KafkaCluster, policy *v1alpha1.DeadLetterPolicy, found kafka.Topic) kafka.TopicSpec {
	retention := deadletter.Retention
	deadLetters := strings.HasSuffix(name, deadletter.DLT(""))
	if deadLetters {
		retention = policy.Spec.DeadLetter.Retention.Duration
	}
	keep := millis(retention)
	if kept := found.Config["retention.ms"]; (!deadLetters || policy.Spec.Suspend) && longer(kept, keep) {
		keep = kept
	}
	return kafka.TopicSpec{
		Name:       name,
		Partitions: width,
		Config: map[string]string{
			"retention.ms": keep,
			// Whatever the brokers' default is: compaction would lose records.
			"cleanup.policy":    "delete",
			"max.message.bytes": strconv.FormatInt(largest, 10),
		},
		DefaultReplicas: int16(ptr.Deref(cluster.Spec.Defaults.Replicas, 0)),
		DefaultConfig:   cluster.Spec.Defaults.Config,
	}
}

const (
	// brokerLimit is the brokers' message.max.bytes where nobody changed it.
	brokerLimit = 1048588
	// laneHeaders is more than the headers that a record gets on its way.
	laneHeaders = 64 << 10
)

// largestRecord is how large a record of a lane may be, in bytes: the largest
// of the sources, with the headers that it gets on its way.
func largestRecord(cluster *v1alpha1.KafkaCluster, sources []*v1alpha1.Topic) int64 {
	largest := int64(brokerLimit)
	for _, source := range sources {
		for _, config := range []v1alpha1.TopicConfig{source.Spec.Config, cluster.Spec.Defaults.Config} {
			if limit, err := strconv.ParseInt(config["max.message.bytes"], 10, 64); err == nil {
				largest = max(largest, limit)
			}
		}
	}
	return largest + laneHeaders
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
