package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/release"
)

// owedAfter is how long a Topic that is being deleted waits for Kafka: then it
// goes, and the record has that its topic is still to be deleted.
const owedAfter = time.Minute

// finalize lets a Topic go that is being deleted, with its topic where that is
// asked for. What it was granted the record has; the writer takes it back.
func (r *Reconciler) finalize(ctx context.Context, topic *v1alpha1.Topic) error {
	if !controllerutil.ContainsFinalizer(topic, v1alpha1.Finalizer) {
		return r.Estates.Gone(ctx, estate.RefOf(topic), true)
	}
	deletes, err := r.deletes(ctx, topic)
	if err != nil {
		return err
	}
	if deletes {
		if err := r.deleteTopic(ctx, topic); err != nil {
			if h, ok := halt.As(err); ok && h.Kind != halt.Progressing {
				h.Message += "; the Topic goes without its topic at once where spec.deletionPolicy is set to Retain"
			}
			return err
		}
	}
	return r.Finalizer.Drop(ctx, topic)
}

// deletes says whether a topic is to be deleted with its Topic. It stays where
// the Topic does not go by its own: because its CustomResourceDefinition goes, or
// its namespace while somebody still uses the topic.
func (r *Reconciler) deletes(ctx context.Context, topic *v1alpha1.Topic) (bool, error) {
	if topic.Spec.DeletionPolicy != v1alpha1.DeleteData || topic.Spec.Suspend {
		return false, nil
	}
	if stands, err := r.Estates.Stands(ctx, estate.KindTopic); err != nil || !stands {
		return false, err
	}
	users, err := r.usersOf(ctx, topic)
	if err != nil || len(users) == 0 {
		return true, err
	}
	terminating, err := r.Estates.Terminating(ctx, topic.Namespace)
	if err != nil {
		return false, err
	}
	if terminating {
		r.Settler.Warn(topic, "TopicRetained", "Delete", "namespace %s is being deleted, and topic %s stays: it is still used by %s",
			topic.Namespace, estate.TopicName(topic), release.FirstFew(users, 5))
		return false, nil
	}
	return false, halt.Wait(v1alpha1.ReasonInUse, "deletionPolicy is Delete and the topic is still used by %s; delete them first, or set spec.deletionPolicy to Retain", release.FirstFew(users, 5))
}

// deleteTopic deletes the topic and its records, once the record has that it is
// leaving. Without a place in the record there is nothing of this Topic's.
func (r *Reconciler) deleteTopic(ctx context.Context, topic *v1alpha1.Topic) error {
	place, err := r.Estates.Behind(ctx, topic)
	if err != nil || place.Estate == nil {
		return err
	}
	ref := estate.RefOf(topic)
	key := record.Key{Kind: record.Topic, Name: estate.TopicName(topic)}
	entry, known := place.Entry(key)
	if !known || entry.Holder != ref {
		return nil
	}
	if entry.Found && place.Resource.Spec.Naming.Policy == v1alpha1.NamingFree {
		r.Settler.Warn(topic, "TopicRetained", "Delete", "topic %s stays: it was there before this Topic, and naming.policy of the KafkaCluster is Free", key.Name)
		return nil
	}
	if err := place.Removable(); err != nil {
		return err
	}
	// Also what it was granted before this process began.
	declare(place, topic, true)
	if err := place.Gone(ref, grants.Now); err != nil {
		return err
	}
	err = place.DeleteTopic(ctx, key.Name, entry)
	switch h, halted := halt.As(err); {
	case err == nil:
		r.Settler.Event(topic, "TopicDeleted", "Delete", "topic %s and its records are deleted, as deletionPolicy says", key.Name)
		return nil
	case halted && h.Kind != halt.Stalled && h.Reason != v1alpha1.ReasonRecordNotStored && entry.ID != "" && time.Since(topic.DeletionTimestamp.Time) > owedAfter:
		r.Settler.Warn(topic, "DeletionOwed", "Delete", "Kafka does not answer: topic %s is deleted when it does", key.Name)
		return nil
	default:
		return err
	}
}

// usersOf names the ConsumerGroups and OutboxRelays that refer to a Topic with
// its consent.
func (r *Reconciler) usersOf(ctx context.Context, topic *v1alpha1.Topic) ([]string, error) {
	key := client.MatchingFields{estate.TopicRefIndex: client.ObjectKeyFromObject(topic).String()}
	var groups v1alpha1.ConsumerGroupList
	var relays v1alpha1.OutboxRelayList
	if err := errors.Join(r.Client.List(ctx, &groups, key), r.Client.List(ctx, &relays, key)); err != nil {
		return nil, fmt.Errorf("looking for users of the topic: %w", err)
	}
	var users []string
	add := func(user client.Object, to estate.Purpose) error {
		err := r.Estates.Consents(ctx, topic, user.GetNamespace(), "", to)
		if _, refused := halt.As(err); refused || client.IgnoreNotFound(err) == nil && err != nil {
			return nil // a stranger, or a namespace that has gone
		}
		users = append(users, estate.RefOf(user).String())
		return err
	}
	var errs []error
	for i := range groups.Items {
		errs = append(errs, add(&groups.Items[i], estate.ToConsume))
	}
	for i := range relays.Items {
		errs = append(errs, add(&relays.Items[i], estate.ToProduce))
	}
	return users, errors.Join(errs...)
}
