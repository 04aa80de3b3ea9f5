// Package topic reconciles Topics: a topic and the grants on it follow the
// resource. What has to change internal/kafka plans and applies.
package topic

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/claims"
	"github.com/weir-dev/weir/internal/controller/ensure"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/ledger"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// +kubebuilder:rbac:groups=weir.dev,resources=topics,verbs=list;watch;patch
// +kubebuilder:rbac:groups=weir.dev,resources=topics/status,verbs=patch

// Reconciler makes topics and their grants follow Topic resources.
type Reconciler struct {
	Client    client.Client
	Settler   settle.Settler
	Clusters  *pool.Clusters
	Claims    claims.Registry
	Grants    ledger.Granter
	Finalizer release.Finalizer
}

var ready = settle.Ready{Reason: v1alpha1.ReasonReady, Message: "the topic and its grants are as declared"}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, topic *v1alpha1.Topic) (reconcile.Result, error) {
	before := topic.DeepCopy()
	err := r.reconcile(ctx, before, topic)
	return r.Settler.Settle(ctx, before, topic, ready, 0, err) // the sweep finds drift
}

func (r *Reconciler) reconcile(ctx context.Context, before, topic *v1alpha1.Topic) error {
	if !topic.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, before, topic)
	}
	if topic.Spec.Suspend {
		return halt.Suspend()
	}
	cluster, connection, err := r.Clusters.Of(ctx, topic.Namespace, topic.Status.Cluster, topic.Spec.ClusterRef)
	if err != nil {
		return err
	}
	name, err := claims.TopicName(cluster.Spec.TopicNaming, topic)
	if err != nil {
		return err
	}
	if err := r.Claims.Topic(ctx, topic, cluster, name); err != nil {
		return err
	}
	if err := r.Finalizer.Hold(ctx, topic); err != nil {
		return err
	}
	if err := r.own(ctx, before, topic, cluster.Name, name); err != nil {
		return err
	}
	// Grants do not depend on the topic: one part that is refused does not
	// keep the other from being applied.
	return halt.Together(
		r.ensure(ctx, before, topic, connection, spec(cluster, topic, name)),
		r.access(ctx, before, topic, connection, name),
	)
}

// ensure makes the topic what the spec says.
func (r *Reconciler) ensure(ctx context.Context, before, topic *v1alpha1.Topic, connection *kafka.Cluster, spec kafka.TopicSpec) error {
	found, err := connection.EnsureTopic(ctx, spec)
	r.tell(before, topic, found)
	observe(topic, found.After)
	topic.Status.SetConfig = convertValues[v1alpha1.ConfigValue](found.Set)
	if contest := ensure.Contested(spec.Name, found, r.Settler.Resync); contest != nil {
		settle.SetCondition(topic, v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonContested, contest.Error())
	} else {
		meta.RemoveStatusCondition(&topic.Status.Conditions, v1alpha1.ConditionDrifted)
	}
	return ensure.Halt(spec.Name, found, err, r.Settler.Resync)
}

// own records that the resource is about to act on a cluster under a name,
// before anything is created there.
func (r *Reconciler) own(ctx context.Context, before, topic *v1alpha1.Topic, cluster, name string) error {
	if topic.Status.Cluster == cluster && topic.Status.TopicName == name {
		return nil
	}
	topic.Status.Cluster, topic.Status.TopicName = cluster, name
	return r.Settler.Record(ctx, before, topic)
}

// access makes the grants of spec.access.
func (r *Reconciler) access(ctx context.Context, before, topic *v1alpha1.Topic, connection *kafka.Cluster, name string) error {
	want := accessBindings(topic.Spec.Access, name)
	granted, err := r.Grants.Grant(ctx, topic.Status.Cluster, connection, before, topic, want)
	if err != nil {
		return err
	}
	topic.Status.Bindings = int32(len(want))
	if granted.Disabled {
		settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, v1alpha1.ReasonAuthorizerDisabled,
			"the cluster has no authorizer, so that anybody may do anything; set authorizer.class.name on the brokers")
		return nil
	}
	settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced, "the grants are in the cluster's ACLs")
	r.Grants.Tell(before, topic, granted)
	return nil
}

// tell emits the events of a pass over the topic.
func (r *Reconciler) tell(before, topic *v1alpha1.Topic, found kafka.Ensured) {
	switch known := before.Status.TopicID; {
	case known == "" && found.Before.Exists && !settle.IsProgressing(before):
		r.Settler.Event(topic, "TopicAdopted", "Adopt", "topic %s existed already and is managed from now on", topic.Status.TopicName)
	case known != "" && found.After.Exists && found.After.ID != known:
		r.Settler.Event(topic, "TopicRecreated", "Apply", "topic %s was deleted by somebody else and is a new one; its records are gone", topic.Status.TopicName)
	}
	if len(found.Changes) == 0 {
		return
	}
	words := ensure.Words(found.Changes)
	switch {
	case found.Changes[0].Kind == kafka.CreateTopic:
		r.Settler.Event(topic, "TopicCreated", "Create", "%s", words)
	case settle.WasReady(before):
		r.Settler.Event(topic, "DriftCorrected", "Apply", "somebody else changed topic %s; put right: %s", topic.Status.TopicName, words)
	default:
		r.Settler.Event(topic, "TopicChanged", "Apply", "%s", words)
	}
}

// finalize revokes the grants, deletes the topic where that is asked for, and
// lets the resource go. A resource that never owned its topic deletes nothing.
func (r *Reconciler) finalize(ctx context.Context, before, topic *v1alpha1.Topic) error {
	if !controllerutil.ContainsFinalizer(topic, v1alpha1.Finalizer) {
		return nil
	}
	deletes := topic.Spec.DeletionPolicy == v1alpha1.DeleteData && topic.Status.TopicName != ""
	if deletes && !topic.Spec.Suspend && !release.Forced(topic) {
		users, err := r.usersOf(ctx, topic)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return halt.Wait(v1alpha1.ReasonInUse, "deletionPolicy is Delete and the topic is still used by %s", release.FirstFew(users, 5))
		}
	}
	if !topic.Spec.Suspend {
		err := r.Finalizer.CleanUp(ctx, topic, topic.Status.Cluster, func(cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster) error {
			if err := r.Grants.Revoke(ctx, cluster.Name, connection, before, topic); err != nil || !deletes {
				return err
			}
			return r.deleteTopic(ctx, topic, cluster, connection)
		})
		if err != nil {
			return err
		}
	}
	r.Grants.Forget(topic.Status.Cluster, topic)
	return r.Finalizer.Drop(ctx, topic)
}

// deleteTopic deletes the topic and its records. A loser of a conflict deletes nothing.
func (r *Reconciler) deleteTopic(ctx context.Context, topic *v1alpha1.Topic, cluster *v1alpha1.KafkaCluster, connection *kafka.Cluster) error {
	err := r.Claims.Topic(ctx, topic, cluster, topic.Status.TopicName)
	if h, ok := halt.As(err); ok && h.Reason == v1alpha1.ReasonConflict {
		return nil
	}
	if err != nil {
		return err
	}
	if err := connection.DeleteTopic(ctx, topic.Status.TopicName); err != nil {
		return halt.Kafka(err)
	}
	r.Settler.Event(topic, "TopicDeleted", "Delete", "topic %s and its records are deleted, as deletionPolicy says", topic.Status.TopicName)
	return nil
}

// usersOf names the ConsumerGroups and OutboxRelays that refer to a Topic.
func (r *Reconciler) usersOf(ctx context.Context, topic *v1alpha1.Topic) ([]string, error) {
	key := client.MatchingFields{claims.TopicRefIndex: client.ObjectKeyFromObject(topic).String()}
	var groups v1alpha1.ConsumerGroupList
	var relays v1alpha1.OutboxRelayList
	if err := errors.Join(r.Client.List(ctx, &groups, key), r.Client.List(ctx, &relays, key)); err != nil {
		return nil, fmt.Errorf("looking for users of the topic: %w", err)
	}
	var users []string
	for i := range groups.Items {
		users = append(users, release.Describe(r.Client, &groups.Items[i]))
	}
	for i := range relays.Items {
		users = append(users, release.Describe(r.Client, &relays.Items[i]))
	}
	return users, nil
}

// spec is what a Topic wants of the seam.
func spec(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, name string) kafka.TopicSpec {
	defaults := cluster.Spec.Defaults
	return kafka.TopicSpec{
		Name:              name,
		Partitions:        ptr.Deref(topic.Spec.Partitions, 0),
		Replicas:          int16(ptr.Deref(topic.Spec.Replicas, 0)),
		Config:            topic.Spec.Config,
		Set:               convertValues[string](topic.Status.SetConfig),
		DefaultPartitions: ptr.Deref(defaults.Partitions, 0),
		DefaultReplicas:   int16(ptr.Deref(defaults.Replicas, 0)),
		DefaultConfig:     defaults.Config,
	}
}

// convertValues is a map of strings as one of another string type, nil where it
// is empty.
func convertValues[To, From ~string](from map[string]From) map[string]To {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]To, len(from))
	for key, value := range from {
		to[key] = To(value)
	}
	return to
}

// observe copies what a broker shows into status.
func observe(topic *v1alpha1.Topic, have kafka.Topic) {
	if !have.Exists {
		return
	}
	topic.Status.TopicID = have.ID
	topic.Status.Partitions = have.Partitions
	topic.Status.Replicas = int32(have.Replicas)
}

// accessBindings are the ACL bindings of a Topic's access list.
func accessBindings(access []v1alpha1.Access, topic string) []kafka.Binding {
	var bindings []kafka.Binding
	for _, entry := range access {
		for _, right := range entry.Allow {
			switch right {
			case v1alpha1.Produce:
				bindings = append(bindings, kafka.Produce(entry.Principal, topic)...)
			case v1alpha1.Consume:
				bindings = append(bindings, kafka.Consume(entry.Principal, topic)...)
			}
		}
		for _, group := range entry.Groups {
			bindings = append(bindings, kafka.ReadGroup(entry.Principal, group)...)
		}
		for _, id := range entry.TransactionalIDs {
			bindings = append(bindings, kafka.ProduceTransactional(entry.Principal, id)...)
		}
	}
	return bindings
}

// Drifted says whether a topic is not what it was when its resource was
// last Ready.
func Drifted(cluster *v1alpha1.KafkaCluster, topic *v1alpha1.Topic, have kafka.Topic) bool {
	plan := kafka.PlanTopic(spec(cluster, topic, topic.Status.TopicName), have)
	return len(plan.Changes) > 0 || len(plan.Refused) > 0 || have.ID != topic.Status.TopicID
}
