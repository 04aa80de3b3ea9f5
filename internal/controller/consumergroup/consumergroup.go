// Package consumergroup reconciles ConsumerGroups, the contract of a reader:
// grants, dead letter topics, lag and alerts. It commits no offsets and moves no
// records.
package consumergroup

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/claims"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/lagging"
	"github.com/weir-dev/weir/internal/controller/ledger"
	"github.com/weir-dev/weir/internal/controller/pool"
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
	Clusters  *pool.Clusters
	Claims    claims.Registry
	Grants    ledger.Granter
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
	if !group.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, before, group)
	}
	if group.Spec.Suspend {
		return halt.Suspend()
	}
	cluster, connection, err := r.Clusters.Of(ctx, group.Namespace, group.Status.Cluster, group.Spec.ClusterRef)
	if err != nil {
		return err
	}
	id := claims.GroupID(group)
	if err := r.Claims.Group(ctx, group, cluster.Name, id); err != nil {
		return err
	}
	topics, refused, err := r.Claims.Resolve(ctx, topicsRead(group), group.Namespace, cluster.Name, claims.ToConsume)
	if err != nil {
		return halt.Together(err, r.Grants.Withdraw(ctx, cluster.Name, connection, before, group, refused))
	}
	policy, err := r.policyOf(ctx, group)
	if err != nil {
		return err
	}
	if err := r.Finalizer.Hold(ctx, group); err != nil {
		return err
	}
	if group.Status.Cluster != cluster.Name || group.Status.GroupID != id {
		group.Status.Cluster, group.Status.GroupID = cluster.Name, id
		if err := r.Settler.Record(ctx, before, group); err != nil {
			return err
		}
	}
	laneErr := r.lane(ctx, before, group, cluster, connection, topics, policy)
	setRetries(group, cluster)
	r.Lag.Set(ctx, cluster.Name, client.ObjectKeyFromObject(group), lagSpec(group, topics))
	granted, grantErr := r.Grants.Grant(ctx, cluster.Name, connection, before, group, bindings(group, topics))
	r.Grants.Tell(before, group, granted)
	return halt.Together(laneErr, grantErr, r.Alerts.apply(ctx, group))
}

// Forget drops what is kept in memory for a group that is gone.
func (r *Reconciler) Forget(group *v1alpha1.ConsumerGroup) {
	r.Lag.Remove(group.Status.Cluster, client.ObjectKeyFromObject(group))
	r.Numbers.Forget(group)
	r.Alerts.Children.Forget(group)
	r.Grants.Forget(group.Status.Cluster, group)
}

// topicsRead are a group's references to Topics.
func topicsRead(group *v1alpha1.ConsumerGroup) []claims.Reference {
	var references []claims.Reference
	for i, ref := range group.Spec.Topics {
		references = append(references, claims.Reference{TopicReference: ref, Field: fmt.Sprintf("spec.topics[%d]", i)})
	}
	return references
}

// policyOf reads the policy of a group, nil if it has none. Its schedule must
// be in effect.
func (r *Reconciler) policyOf(ctx context.Context, group *v1alpha1.ConsumerGroup) (*v1alpha1.DeadLetterPolicy, error) {
	ref := group.Spec.DeadLetterPolicyRef
	if ref == nil {
		return nil, nil
	}
	key := client.ObjectKey{Namespace: group.Namespace, Name: ref.Name}
	var policy v1alpha1.DeadLetterPolicy
	err := r.Client.Get(ctx, key, &policy)
	if apierrors.IsNotFound(err) {
		return nil, halt.Wait(v1alpha1.ReasonPolicyNotFound,
			"spec.deadLetterPolicyRef: DeadLetterPolicy %s does not exist; create it, or correct the reference", key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading DeadLetterPolicy %s: %w", key, err)
	}
	if policy.Status.TotalDelay == nil {
		return nil, halt.Wait(v1alpha1.ReasonPolicyNotReady, "spec.deadLetterPolicyRef: DeadLetterPolicy %s is not ready; see its conditions", key)
	}
	return &policy, nil
}

// finalize revokes the grants and lets the group go. Its offsets and its dead
// letter topics stay: they hold data.
func (r *Reconciler) finalize(ctx context.Context, before, group *v1alpha1.ConsumerGroup) error {
	if !controllerutil.ContainsFinalizer(group, v1alpha1.Finalizer) {
		return nil
	}
	r.Lag.Remove(group.Status.Cluster, client.ObjectKeyFromObject(group))
	if !group.Spec.Suspend {
		err := r.Finalizer.CleanUp(ctx, group, group.Status.Cluster, func(cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster) error {
			return r.Grants.Revoke(ctx, cluster.Name, connection, before, group)
		})
		if err != nil {
			return err
		}
	}
	r.Forget(group)
	return r.Finalizer.Drop(ctx, group)
}

// bindings are the ACL bindings that a group's principal needs: to read
// its topics as that group, and the service's side of the dead letter topics
// where it has them.
func bindings(group *v1alpha1.ConsumerGroup, topics []*v1alpha1.Topic) []kafka.Binding {
	principal, id := group.Spec.Principal, claims.GroupID(group)
	bindings := kafka.ReadGroup(principal, id)
	for _, topic := range topics {
		bindings = append(bindings, kafka.Consume(principal, topic.Status.TopicName)...)
	}
	if group.Status.DeadLetters != nil {
		bindings = append(bindings, kafka.Produce(principal, deadletter.Failed(id))...)
		bindings = append(bindings, kafka.Consume(principal, deadletter.Retry(id))...)
	}
	return bindings
}

// lagSpec is what the collector measures for a group.
func lagSpec(group *v1alpha1.ConsumerGroup, topics []*v1alpha1.Topic) lag.Spec {
	spec := lag.Spec{Group: claims.GroupID(group), InitialOffset: lag.Earliest}
	for _, topic := range topics {
		spec.Topics = append(spec.Topics, topic.Status.TopicName)
	}
	if group.Status.DeadLetters != nil {
		spec.Topics = append(spec.Topics, deadletter.Retry(claims.GroupID(group)))
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
