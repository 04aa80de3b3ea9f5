// Package consumergroup reconciles ConsumerGroups, the contract of a reader:
// grants, dead letter topics, lag and alerts. It commits no offsets and moves no
// records.
package consumergroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/lagging"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/policy"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/lag"
)

// +kubebuilder:rbac:groups=weir.dev,resources=consumergroups,verbs=list;watch;patch
// +kubebuilder:rbac:groups=weir.dev,resources=consumergroups/status,verbs=patch
// +kubebuilder:rbac:groups=weir.dev,resources=consumergroups/finalizers,verbs=update

// Reconciler puts the contract of a reader in effect: grants,
// dead letter topics, alerts; and tells how far behind it is.
type Reconciler struct {
	Client    client.Client
	Settler   settle.Settler
	Estates   *estate.Estates
	Finalizer release.Finalizer
	Lag       *lagging.Collectors
	Alerts    Alerts
	// Interval is how often the numbers in status are brought up to date.
	Interval time.Duration
	Numbers  *settle.Numbers
}

var ready = settle.Ready{Reason: v1alpha1.ReasonReady, Message: "the contract is in effect: grants are made and the group is observed"}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, group *v1alpha1.ConsumerGroup) (reconcile.Result, error) {
	before := group.DeepCopy()
	err := r.reconcile(ctx, before, group)
	if err == nil && group.DeletionTimestamp.IsZero() {
		report, known := r.Lag.Latest(group.Status.Cluster, client.ObjectKeyFromObject(group))
		err = setLag(before, group, report, known, time.Now())
	} else {
		doubtLag(group, "the group is not measured now; see Ready")
	}
	if !r.Numbers.Due(before, group, ready, err) {
		keepNumbers(before, group)
	}
	return r.Settler.Settle(ctx, before, group, ready, r.Interval, err)
}

func (r *Reconciler) reconcile(ctx context.Context, before, group *v1alpha1.ConsumerGroup) error {
	ref := estate.RefOf(group)
	if !group.DeletionTimestamp.IsZero() {
		r.Lag.Remove(client.ObjectKeyFromObject(group))
		return errors.Join(r.Estates.Gone(ctx, ref, true), r.Finalizer.Drop(ctx, group))
	}
	place, err := r.Estates.On(ctx, group)
	if err != nil {
		return halt.SuspendedOr(group.Spec.Suspend, err)
	}
	referred, refErr := r.Estates.Resolve(ctx, place, topicsRead(group), group.Namespace, estate.ToConsume)
	if referred == nil && refErr != nil {
		return halt.SuspendedOr(group.Spec.Suspend, refErr)
	}
	key := record.Key{Kind: record.Group, Name: estate.GroupID(group)}
	verdict := place.Verdict(ref, nothing)
	if verdict.Outcome != names.Mine && verdict.Key == key {
		r.keep(place, group, referred, verdict.Kept)
		return halt.SuspendedOr(group.Spec.Suspend, place.Refused(verdict, "spec.groupId"))
	}
	entry, known := place.Entry(key)
	kept := known && entry.Holder == ref || !known && place.Rebuilt(ref)
	if group.Spec.Suspend {
		r.keep(place, group, referred, kept)
		return halt.Suspend()
	}
	follows, policyErr := r.follow(ctx, group)
	if err := halt.Together(refErr, policyErr); err != nil {
		r.keep(place, group, referred, kept)
		return err
	}
	group.Status.Cluster, group.Status.GroupID = place.Resource.Name, key.Name
	if !known || entry.Holder != ref {
		if err := place.Note(key, &record.Entry{Phase: record.Held, Holder: ref}); err != nil {
			return err
		}
	}
	laneErr := r.lane(ctx, group, place, referred, follows)
	setRetries(group, place)
	r.Lag.Set(ctx, place.Resource.Name, client.ObjectKeyFromObject(group), lagSpec(group, referred))
	place.Declare(ref, estate.VersionOf(group), wants(group, referred, laneOf(place, group)))
	alertErr := r.Alerts.apply(ctx, group)
	disabled, grantErr := estate.Enforced(place.State(ctx, ref))
	if disabled {
		grantErr = nil // the KafkaCluster says so
	}
	if err := halt.Together(laneErr, grantErr, alertErr); err != nil {
		return err
	}
	// Nothing has to go with a group; earlier versions held a finalizer.
	return r.Finalizer.Drop(ctx, group)
}

// nothing is in Kafka, as far as it matters to a group's own name.
func nothing(record.Key) bool { return false }

// keep declares that what a group was granted is only kept, or that nothing is
// wanted: its name is another's.
func (r *Reconciler) keep(place estate.Place, group *v1alpha1.ConsumerGroup, referred []estate.Referred, kept bool) {
	var keeping grants.Wants
	if kept {
		of := laneOf(place, group)
		if of == nil && group.Spec.DeadLetterPolicyRef != nil && place.Rebuilt(estate.RefOf(group)) {
			of = laneOn(place, deadletter.MostAttempts-1) // whatever of it is there
		}
		keeping = wants(group, referred, of)
		for binding := range keeping {
			keeping[binding] = grants.Keep
		}
	}
	place.Declare(estate.RefOf(group), estate.VersionOf(group), keeping)
}

// Forget drops what is kept in memory for a group that is gone.
func (r *Reconciler) Forget(group client.Object) {
	r.Lag.Remove(client.ObjectKeyFromObject(group))
	r.Numbers.Forget(group)
	r.Alerts.Children.Forget(group)
}

// topicsRead are a group's references to Topics.
func topicsRead(group *v1alpha1.ConsumerGroup) []estate.Reference {
	var references []estate.Reference
	for i, ref := range group.Spec.Topics {
		references = append(references, estate.Reference{TopicReference: ref, Field: fmt.Sprintf("spec.topics[%d]", i)})
	}
	return references
}

// following is the policy of a group, and its schedule; empty while it is
// suspended.
type following struct {
	policy   *v1alpha1.DeadLetterPolicy
	schedule []time.Duration
}

// follow reads the policy of a group, nil if it has none. Its schedule must be in
// order; one that is suspended changes nothing.
func (r *Reconciler) follow(ctx context.Context, group *v1alpha1.ConsumerGroup) (*following, error) {
	ref := group.Spec.DeadLetterPolicyRef
	if ref == nil {
		return nil, nil
	}
	key := client.ObjectKey{Namespace: group.Namespace, Name: ref.Name}
	var found v1alpha1.DeadLetterPolicy
	err := r.Client.Get(ctx, key, &found)
	if apierrors.IsNotFound(err) {
		return nil, halt.Wait(v1alpha1.ReasonPolicyNotFound,
			"spec.deadLetterPolicyRef: DeadLetterPolicy %s does not exist; create it, or correct the reference", key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading DeadLetterPolicy %s: %w", key, err)
	}
	if found.Spec.Suspend {
		return &following{policy: &found}, nil
	}
	schedule, err := policy.Schedule(&found)
	if err != nil {
		return nil, halt.Wait(v1alpha1.ReasonPolicyNotReady, "spec.deadLetterPolicyRef: DeadLetterPolicy %s is not ready; see its conditions", key)
	}
	return &following{&found, schedule}, nil
}

// lane is what of the dead letter topics of a group needs grants.
type lane struct {
	waits int // wait topics
	// left: the group has no policy any more, and only what came back is still to
	// be read.
	left bool
	// worker is the principal of the retry worker, empty where it has none of its
	// own.
	worker string
}

// laneOf is the lane that the record has for a group; nil where it has none.
func laneOf(place estate.Place, group *v1alpha1.ConsumerGroup) *lane {
	entry, _ := place.Entry(record.Key{Kind: record.Group, Name: estate.GroupID(group)})
	if entry.Lane == nil || entry.Holder != estate.RefOf(group) {
		return nil
	}
	found := laneOn(place, entry.Lane.Waits)
	found.left = group.Spec.DeadLetterPolicyRef == nil
	return found
}

// laneOn is a lane of so many wait topics on a cluster.
func laneOn(place estate.Place, waits int) *lane {
	found := &lane{waits: waits}
	if worker := place.Resource.Spec.RetryWorker; worker != nil {
		found.worker = worker.Kafka.Principal
	}
	return found
}

// wants are the ACL bindings that a group's principal needs: to read its topics
// as that group, and with a lane the service's side of the dead letter topics;
// and what the retry worker needs on these.
func wants(group *v1alpha1.ConsumerGroup, referred []estate.Referred, of *lane) grants.Wants {
	principal, id := group.Spec.Principal, estate.GroupID(group)
	own := kafka.ReadGroup(principal, id)
	if of != nil {
		own = append(own, kafka.Consume(principal, deadletter.Retry(id))...)
	}
	if of != nil && !of.left {
		own = append(own, kafka.Produce(principal, deadletter.Failed(id))...)
	}
	if of != nil && !of.left && of.worker != "" {
		own = append(own, kafka.Consume(of.worker, deadletter.Failed(id))...)
		own = append(own, kafka.Publish(of.worker, deadletter.Retry(id))...)
		own = append(own, kafka.Publish(of.worker, deadletter.DLT(id))...)
		for n := 1; n <= of.waits; n++ {
			own = append(own, kafka.Consume(of.worker, deadletter.Wait(id, n))...)
			own = append(own, kafka.Publish(of.worker, deadletter.Wait(id, n))...)
		}
	}
	all := estate.Granting(own)
	for _, one := range referred {
		if one.Want == 0 {
			continue
		}
		for _, binding := range kafka.Consume(principal, one.Name) {
			all[binding] = max(all[binding], one.Want)
		}
	}
	return all
}

// lagSpec is what the collector measures for a group.
func lagSpec(group *v1alpha1.ConsumerGroup, referred []estate.Referred) lag.Spec {
	spec := lag.Spec{Group: estate.GroupID(group), InitialOffset: lag.Earliest}
	for _, one := range referred {
		spec.Topics = append(spec.Topics, one.Name)
	}
	if group.Status.DeadLetters != nil {
		spec.Topics = append(spec.Topics, deadletter.Retry(estate.GroupID(group)))
	}
	spec.Topics = slices.Compact(slices.Sorted(slices.Values(spec.Topics)))
	objective := group.Spec.Lag
	if objective.MaxTime != nil {
		spec.MaxTime = objective.MaxTime.Duration
	}
	if objective.MaxRecords != nil {
		spec.MaxRecords = *objective.MaxRecords
	}
	if objective.For != nil {
		spec.For = objective.For.Duration
	}
	return spec
}
