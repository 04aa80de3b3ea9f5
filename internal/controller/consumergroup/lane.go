package consumergroup

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/ensure"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
)

// lane makes the dead letter topics of a group, and counts its dead letters.
// Without a policy it makes none, leaves those that exist, and has what waits in
// them moved on. One topic that
// fails does not keep the others from being made. Status lists the lane where
// its topics' names are the group's. Errors are halts.
func (r *Reconciler) lane(ctx context.Context, group *v1alpha1.ConsumerGroup, place estate.Place, sources []estate.Referred, follows *following) error {
	group.Status.DeadLetters = nil
	id := estate.GroupID(group)
	key := record.Key{Kind: record.Group, Name: id}
	recorded, _ := place.Entry(key)
	if follows == nil {
		return r.drain(ctx, group, place, key, recorded)
	}
	waits := len(follows.schedule)
	switch {
	case recorded.Lane != nil:
		waits = max(waits, recorded.Lane.Waits)
	case follows.policy.Spec.Suspend:
		return halt.Wait(v1alpha1.ReasonPolicyNotReady, "spec.deadLetterPolicyRef: DeadLetterPolicy %s/%s is suspended", group.Namespace, follows.policy.Name)
	}
	names, err := deadletter.Topics(id, waits)
	if err != nil {
		return halt.Stall(kafka.InvalidTopicName, "%v", err)
	}
	found, failures := observe(ctx, place, slices.Concat(names, namesOf(sources)))
	read, unread := found[len(names):], failures[len(names):]
	found, failures = found[:len(names)], failures[:len(names)]
	if err := halt.Together(failures...); err != nil {
		if recorded.Lane == nil {
			return err
		}
	} else if err := r.claimLane(ctx, group, place, found, waits); err != nil {
		return err
	}
	lane := &v1alpha1.DeadLetterStatus{Topic: deadletter.DLT(id), WaitTopics: int32(waits)}
	group.Status.DeadLetters = lane

	// As many partitions as the widest source that is or was there, so that
	// order per key holds within the lane.
	if err := halt.Together(unread...); err != nil {
		return err
	}
	if err := notShown(read, found); err != nil {
		return err
	}
	var width int32
	for _, topic := range slices.Concat(read, found) {
		width = max(width, topic.Partitions)
	}
	made, ensureFailures := atOnce(names, func(i int) (kafka.Ensured, error) {
		if failures[i] != nil {
			return kafka.Ensured{}, nil
		}
		spec := laneTopic(names[i], width, largestRecord(place.Resource, sources), place.Resource, follows.policy, found[i])
		ensured, err := place.Kafka.EnsureFound(ctx, spec, found[i])
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
	lane.Depth = depthOf(ctx, place, lane.Topic)
	return taken(group, place, follows, waits)
}

// notShown returns the halt of a group whose lane is still to be made while the
// brokers do not show one of its sources, which has just been made: the lane would
// have too few partitions, and growing it moves keys.
func notShown(sources, lane []kafka.Topic) error {
	missing := func(topic kafka.Topic) bool { return !topic.Exists }
	if at := slices.IndexFunc(sources, missing); at >= 0 && slices.ContainsFunc(lane, missing) {
		return halt.Progress("the brokers do not show topic %q yet, whose partitions decide how many the dead letter topics get", sources[at].Name)
	}
	return nil
}

// taken returns the halt of a group while the retry workers have not read yet what
// its policy says now. That they do not run at all is told beside; see setRetries.
func taken(group *v1alpha1.ConsumerGroup, place estate.Place, follows *following, waits int) error {
	retry, answers := place.RetryOf(estate.GroupID(group))
	if !answers || follows.policy.Spec.Suspend || retry.Has(estate.Told(group, follows.policy, follows.schedule, waits)) {
		return nil
	}
	return halt.Progress("the retry worker of KafkaCluster %q has not read yet what the policy says now", place.Resource.Name)
}

// drain has what waits in the lane of a group that has no policy any more moved on.
func (r *Reconciler) drain(ctx context.Context, group *v1alpha1.ConsumerGroup, place estate.Place, key record.Key, recorded record.Entry) error {
	if recorded.Lane == nil || recorded.Lane.Drain == record.Drained || recorded.Holder != estate.RefOf(group) {
		return nil
	}
	if err := place.Drain(key, record.ToRetry); err != nil {
		return err
	}
	lane := &v1alpha1.DeadLetterStatus{Topic: deadletter.DLT(key.Name), WaitTopics: int32(recorded.Lane.Waits)}
	if retry, known := place.RetryOf(key.Name); known {
		lane.Waiting = retry.Waiting
	}
	lane.Depth = depthOf(ctx, place, lane.Topic)
	group.Status.DeadLetters = lane
	return nil
}

// claimLane makes a lane of so many wait topics the group's own in the record,
// before the first request for it. A topic that is there and is not in the record
// is somebody else's, unless the record was lost, or an earlier version of Weir,
// which held a finalizer, had made it. Errors are halts.
func (r *Reconciler) claimLane(ctx context.Context, group *v1alpha1.ConsumerGroup, place estate.Place, found []kafka.Topic, waits int) error {
	ref := estate.RefOf(group)
	if err := r.Estates.Widen(ctx, place, group, waits); err != nil {
		return err
	}
	adopts := place.Rebuilt(ref) || controllerutil.ContainsFinalizer(group, v1alpha1.Finalizer)
	verdict := place.Verdict(ref, func(topic record.Key) bool {
		return !adopts && slices.ContainsFunc(found, func(one kafka.Topic) bool { return one.Name == topic.Name && one.Exists })
	})
	if err := place.Refused(verdict, "spec.deadLetterPolicyRef"); err != nil && !verdict.Kept {
		return err
	}
	return place.Store(ctx, record.Key{Kind: record.Group, Name: estate.GroupID(group)}, record.Entry{
		Phase: record.Held, Holder: ref, Lane: &record.Lane{Waits: waits},
	})
}

// namesOf are the sources' names in Kafka.
func namesOf(sources []estate.Referred) []string {
	var names []string
	for _, source := range sources {
		names = append(names, source.Name)
	}
	return names
}

// observe is what a broker shows of topics, in their order. Errors are halts.
func observe(ctx context.Context, place estate.Place, names []string) ([]kafka.Topic, []error) {
	return atOnce(names, func(i int) (kafka.Topic, error) {
		topic, err := place.Kafka.ObserveTopic(ctx, names[i])
		return topic, halt.Kafka(err)
	})
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
func largestRecord(cluster *v1alpha1.KafkaCluster, sources []estate.Referred) int64 {
	largest := int64(brokerLimit)
	for _, source := range sources {
		for _, config := range []v1alpha1.TopicConfig{source.Topic.Spec.Config, cluster.Spec.Defaults.Config} {
			if limit, err := strconv.ParseInt(config["max.message.bytes"], 10, 64); err == nil {
				largest = max(largest, limit)
			}
		}
	}
	return min(largest, math.MaxInt32-laneHeaders) + laneHeaders // Kafka's own limit is an int32
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
func depthOf(ctx context.Context, place estate.Place, topic string) *int64 {
	depth, err := place.Kafka.Depth(ctx, topic)
	if err != nil {
		return nil
	}
	return &depth
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
