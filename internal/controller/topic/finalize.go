package topic

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/claims"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/kafka"
)

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
	r.Forget(topic)
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
