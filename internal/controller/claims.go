package controller

import (
	"cmp"
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// claimIndex indexes Topics by the names that they may have in Kafka, and
// ConsumerGroups by group ID.
const claimIndex = "weir.dev/claim"

// older says whether a's claim beats b's: the older resource wins, then the
// one whose name comes first.
func older(a, b client.Object) bool {
	created, other := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !created.Equal(&other) {
		return created.Before(&other)
	}
	return cmp.Compare(client.ObjectKeyFromObject(a).String(), client.ObjectKeyFromObject(b).String()) < 0
}

// claimTopic returns a halt where an older Topic has the same name on the
// same cluster.
func (r *TopicReconciler) claimTopic(ctx context.Context, topic *v1alpha1.Topic, cluster *v1alpha1.KafkaCluster, name string) error {
	var rivals v1alpha1.TopicList
	if err := r.client.List(ctx, &rivals, client.MatchingFields{claimIndex: name}); err != nil {
		return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
	}
	for i := range rivals.Items {
		rival := &rivals.Items[i]
		if rival.UID == topic.UID || !older(rival, topic) {
			continue
		}
		theirs, err := r.clusters.find(ctx, rival.Status.Cluster, rival.Spec.ClusterRef)
		if err != nil || theirs.Name != cluster.Name {
			continue
		}
		if theirName, err := topicName(cluster.Spec.TopicNaming, rival); err != nil || theirName != name {
			continue
		}
		return stall(v1alpha1.ReasonConflict,
			"topic %q on KafkaCluster %q belongs to Topic %s, which is older; nothing is touched: give this Topic another spec.topicName, or delete it",
			name, cluster.Name, client.ObjectKeyFromObject(rival))
	}
	return nil
}

// claimGroup returns a halt where an older ConsumerGroup has the same group ID
// on the same cluster.
func (r *ConsumerGroupReconciler) claimGroup(ctx context.Context, group *v1alpha1.ConsumerGroup, cluster, id string) error {
	var rivals v1alpha1.ConsumerGroupList
	if err := r.client.List(ctx, &rivals, client.MatchingFields{claimIndex: id}); err != nil {
		return fmt.Errorf("looking for other claims to group %s: %w", id, err)
	}
	for i := range rivals.Items {
		rival := &rivals.Items[i]
		if rival.UID == group.UID || !older(rival, group) {
			continue
		}
		theirs, err := r.clusters.find(ctx, rival.Status.Cluster, rival.Spec.ClusterRef)
		if err != nil || theirs.Name != cluster {
			continue
		}
		return stall(v1alpha1.ReasonConflict,
			"group %q on KafkaCluster %q belongs to ConsumerGroup %s, which is older; nothing is touched: give this ConsumerGroup another spec.groupId, or delete it",
			id, cluster, client.ObjectKeyFromObject(rival))
	}
	return nil
}
