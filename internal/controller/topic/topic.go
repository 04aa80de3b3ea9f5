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
	"github.com/weir-dev/weir/internal/controller/ensure"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
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
	Estates   *estate.Estates
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
		return r.finalize(ctx, topic)
	}
	if err := r.Finalizer.Follow(ctx, topic, topic.Spec.DeletionPolicy == v1alpha1.DeleteData); err != nil {
		return err
	}
	place, err := r.Estates.On(ctx, topic)
	if err != nil {
		return halt.SuspendedOr(topic.Spec.Suspend, err)
	}
	name := estate.TopicName(topic)
	topic.Status.Cluster, topic.Status.TopicName = place.Resource.Name, name
	verdict := place.Verdict(estate.RefOf(topic), nil)
	if verdict.Outcome != names.Mine && verdict.Key.Kind == record.Topic {
		declare(place, topic, verdict.Kept)
		if !verdict.Kept {
			forget(topic)
		}
		return halt.SuspendedOr(topic.Spec.Suspend, place.Refused(verdict, "spec.topicName"))
	}
	if topic.Spec.Suspend {
		held := place.Holds(estate.RefOf(topic), record.Topic)
		declare(place, topic, held == name || held == "" && place.Rebuilt(estate.RefOf(topic)))
		return halt.Suspend()
	}
	// Grants do not depend on the topic: one part that is refused does not
	// keep the other from being applied.
	refused := r.grant(place, topic)
	return halt.Together(r.ensure(ctx, before, topic, place), refused, r.enforced(ctx, topic, place))
}

// forget takes out of status what is another's.
func forget(topic *v1alpha1.Topic) {
	topic.Status.TopicID, topic.Status.Partitions, topic.Status.Replicas, topic.Status.Grants = "", 0, 0, 0
	meta.RemoveStatusCondition(&topic.Status.Conditions, v1alpha1.ConditionAccessEnforced)
	meta.RemoveStatusCondition(&topic.Status.Conditions, v1alpha1.ConditionDrifted)
}

// ensure makes the topic what the spec says, and has the record list it.
func (r *Reconciler) ensure(ctx context.Context, before, topic *v1alpha1.Topic, place estate.Place) error {
	key := record.Key{Kind: record.Topic, Name: topic.Status.TopicName}
	recorded, known := place.Entry(key)
	spec := specOf(place.Resource, topic, recorded)
	found, err := place.Kafka.EnsureTopic(ctx, spec)
	r.tell(before, topic, recorded, known, found)
	observe(topic, found.After)
	if found.After.Exists {
		now := record.Entry{Phase: record.Held, Found: recorded.Found, Holder: estate.RefOf(topic), ID: found.After.ID, Set: found.Set}
		if !known || recorded.ID != now.ID {
			now.Found = found.Before.Exists && !place.Rebuilt(now.Holder)
		}
		if err := place.Note(key, &now); err != nil {
			return err
		}
	}
	if contest := ensure.Contested(spec.Name, found, r.Settler.Resync); contest != nil {
		settle.SetCondition(topic, v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonContested, contest.Error())
	} else {
		meta.RemoveStatusCondition(&topic.Status.Conditions, v1alpha1.ConditionDrifted)
	}
	return ensure.Halt(spec.Name, found, err, r.Settler.Resync)
}

// tell emits the events of a pass over the topic.
func (r *Reconciler) tell(before, topic *v1alpha1.Topic, recorded record.Entry, known bool, found kafka.Ensured) {
	switch {
	case !known && found.Before.Exists && before.Status.TopicID != found.Before.ID:
		r.Settler.Event(topic, "TopicAdopted", "Adopt", "topic %s existed already and is managed from now on", topic.Status.TopicName)
	case known && recorded.ID != "" && found.After.Exists && found.After.ID != recorded.ID:
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
