package controller

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/deadletter"
)

// claimIndex indexes Topics by the names that they may have in Kafka, and
// ConsumerGroups by group ID.
const claimIndex = "weir.dev/claim"

// claim is a resource's wish for a name on a cluster. It holds the name once
// its status says so, which is before anything is created there.
type claim struct {
	client.Object
	holds bool
}

// before says whether c's claim goes before the other one: who holds the name
// keeps it; among the others, and where two came at once, the older resource
// wins, then the one whose name comes first.
func (c claim) before(other claim) bool {
	if c.holds != other.holds {
		return c.holds
	}
	created, otherCreated := c.GetCreationTimestamp(), other.GetCreationTimestamp()
	if !created.Equal(&otherCreated) {
		return created.Before(&otherCreated)
	}
	return cmp.Less(client.ObjectKeyFromObject(c).String(), client.ObjectKeyFromObject(other).String())
}

func topicClaim(topic *v1alpha1.Topic, cluster, name string) claim {
	return claim{topic, topic.Status.Cluster == cluster && topic.Status.TopicName == name}
}

func groupClaim(group *v1alpha1.ConsumerGroup, cluster, id string) claim {
	return claim{group, group.Status.Cluster == cluster && group.Status.GroupID == id}
}

// claimTopic returns a halt where a topic's name on a cluster belongs to
// another Topic, or to the dead letter topics of a ConsumerGroup.
func (b base) claimTopic(ctx context.Context, topic *v1alpha1.Topic, cluster *v1alpha1.KafkaCluster, name string) error {
	mine := topicClaim(topic, cluster.Name, name)
	var rivals v1alpha1.TopicList
	if err := b.client.List(ctx, &rivals, client.MatchingFields{claimIndex: name}); err != nil {
		return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
	}
	first := mine
	for i := range rivals.Items {
		rival := &rivals.Items[i]
		if rival.UID == mine.GetUID() {
			continue
		}
		theirs, err := b.clusters.find(ctx, rival.Status.Cluster, rival.Spec.ClusterRef)
		if err != nil || theirs.Name != cluster.Name {
			continue
		}
		if theirName, err := topicName(cluster.Spec.TopicNaming, rival); err != nil || theirName != name {
			continue
		}
		if c := topicClaim(rival, cluster.Name, name); c.before(first) {
			first = c
		}
	}
	if first != mine {
		return stall(v1alpha1.ReasonConflict,
			"topic %q on KafkaCluster %q belongs to Topic %s, which claimed it first; nothing is touched: give this Topic another spec.topicName, or delete it",
			name, cluster.Name, client.ObjectKeyFromObject(first))
	}
	if mine.holds {
		return nil
	}
	return b.claimFromLanes(ctx, cluster.Name, name)
}

// claimFromLanes returns a halt where a topic's name belongs to the dead letter
// topics of a ConsumerGroup.
func (b base) claimFromLanes(ctx context.Context, cluster, name string) error {
	id, ok := groupOfLane(name)
	if !ok {
		return nil
	}
	var groups v1alpha1.ConsumerGroupList
	if err := b.client.List(ctx, &groups, client.MatchingFields{claimIndex: id}); err != nil {
		return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
	}
	for i := range groups.Items {
		if group := &groups.Items[i]; group.Status.DeadLetters != nil && groupClaim(group, cluster, id).holds {
			return stall(v1alpha1.ReasonConflict,
				"topic %q on KafkaCluster %q is a dead letter topic of ConsumerGroup %s; nothing is touched: give this Topic another spec.topicName, or delete it",
				name, cluster, client.ObjectKeyFromObject(group))
		}
	}
	return nil
}

// groupOfLane is the group ID by which a dead letter topic may be named.
func groupOfLane(topic string) (id string, ok bool) {
	end := strings.LastIndexByte(topic, '.')
	if end < 0 {
		return "", false
	}
	id = strings.TrimSuffix(topic[:end], ".wait")
	switch topic {
	case deadletter.Failed(topic[:end]), deadletter.Retry(topic[:end]), deadletter.DLT(topic[:end]):
		return topic[:end], true
	}
	return id, id != topic[:end]
}

// claimGroup returns a halt where a group ID on a cluster belongs to another
// ConsumerGroup.
func (b base) claimGroup(ctx context.Context, group *v1alpha1.ConsumerGroup, cluster, id string) error {
	mine := groupClaim(group, cluster, id)
	var rivals v1alpha1.ConsumerGroupList
	if err := b.client.List(ctx, &rivals, client.MatchingFields{claimIndex: id}); err != nil {
		return fmt.Errorf("looking for other claims to group %s: %w", id, err)
	}
	first := mine
	for i := range rivals.Items {
		rival := &rivals.Items[i]
		if rival.UID == mine.GetUID() {
			continue
		}
		theirs, err := b.clusters.find(ctx, rival.Status.Cluster, rival.Spec.ClusterRef)
		if err != nil || theirs.Name != cluster {
			continue
		}
		if c := groupClaim(rival, cluster, id); c.before(first) {
			first = c
		}
	}
	if first != mine {
		return stall(v1alpha1.ReasonConflict,
			"group %q on KafkaCluster %q belongs to ConsumerGroup %s, which claimed it first; nothing is touched: give this ConsumerGroup another spec.groupId, or delete it",
			id, cluster, client.ObjectKeyFromObject(first))
	}
	return nil
}

// claimLane returns a halt where one of a group's dead letter topics belongs
// to a Topic.
func (b base) claimLane(ctx context.Context, cluster string, lane []string) error {
	for _, name := range lane {
		var topics v1alpha1.TopicList
		if err := b.client.List(ctx, &topics, client.MatchingFields{claimIndex: name}); err != nil {
			return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
		}
		for i := range topics.Items {
			if topicClaim(&topics.Items[i], cluster, name).holds {
				return stall(v1alpha1.ReasonConflict,
					"topic %q, which the dead letter policy needs, belongs to Topic %s; give this ConsumerGroup another spec.groupId",
					name, client.ObjectKeyFromObject(&topics.Items[i]))
			}
		}
	}
	return nil
}
