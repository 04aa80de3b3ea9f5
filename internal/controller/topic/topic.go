// Package topic reconciles Topics: a topic and the grants on it follow the
// resource. What has to change internal/kafka plans and applies.
package topic

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// observe copies what a broker shows into status.
func observe(topic *v1alpha1.Topic, have kafka.Topic) {
	if !have.Exists {
		return
	}
	topic.Status.TopicID = have.ID
	topic.Status.Partitions = have.Partitions
	topic.Status.Replicas = int32(have.Replicas)
}

// Forget drops what is kept in memory for a Topic that is gone.
func (r *Reconciler) Forget(topic *v1alpha1.Topic) { r.Grants.Forget(topic.Status.Cluster, topic) }
