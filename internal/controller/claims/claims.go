// Package claims decides who may use which name in Kafka, where several
// resources ask for the same, and who may use whose Topic. It reads the cache
// and writes nothing.
package claims

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/deadletter"
)

// Index indexes Topics by the names that they may have in Kafka, and
// ConsumerGroups by group ID.
const Index = "weir.dev/claim"

// claim is a resource's wish for a name on a cluster. It holds the name once
// its status says so, which is before anything is created there.
type claim struct {
	client.Object
	recorded string // the cluster in its status, empty if it never had one
	ref      *v1alpha1.ClusterReference
	holds    bool
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
	holds := topic.Status.Cluster == cluster && topic.Status.TopicName == name
	return claim{topic, topic.Status.Cluster, topic.Spec.ClusterRef, holds}
}

func groupClaim(group *v1alpha1.ConsumerGroup, cluster, id string) claim {
	holds := group.Status.Cluster == cluster && group.Status.GroupID == id
	return claim{group, group.Status.Cluster, group.Spec.ClusterRef, holds}
}

// rival is the resource whose claim goes before all others on a cluster, or
// nil where that is mine.
func (r Registry) rival(ctx context.Context, cluster string, mine claim, claims []claim) client.Object {
	first := mine
	for _, c := range claims {
		if c.GetUID() == mine.GetUID() || !c.before(first) {
			continue
		}
		if theirs, err := r.Find(ctx, c.recorded, c.ref); err == nil && theirs.Name == cluster {
			first = c
		}
	}
	if first.GetUID() == mine.GetUID() {
		return nil
	}
	return first.Object
}

// Registry decides who may use which name, and which Topic, from the cache.
type Registry struct {
	Client client.Client
	// Find finds the KafkaCluster of a resource: the one recorded in its status,
	// else the one that its spec refers to, else the default.
	Find func(ctx context.Context, recorded string, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, error)
	// Matches says whether a namespace's labels match a selector.
	Matches func(ctx context.Context, namespace string, by *metav1.LabelSelector) (bool, error)
}

// Topic returns a halt where a topic's name on a cluster belongs to
// another Topic, or to the dead letter topics of a ConsumerGroup.
func (r Registry) Topic(ctx context.Context, topic *v1alpha1.Topic, cluster *v1alpha1.KafkaCluster, name string) error {
	mine := topicClaim(topic, cluster.Name, name)
	var topics v1alpha1.TopicList
	if err := r.Client.List(ctx, &topics, client.MatchingFields{Index: name}); err != nil {
		return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
	}
	var claims []claim
	for i := range topics.Items {
		if theirName, err := TopicName(cluster.Spec.TopicNaming, &topics.Items[i]); err == nil && theirName == name {
			claims = append(claims, topicClaim(&topics.Items[i], cluster.Name, name))
		}
	}
	if rival := r.rival(ctx, cluster.Name, mine, claims); rival != nil {
		return halt.Stall(v1alpha1.ReasonConflict,
			"topic %q on KafkaCluster %q belongs to Topic %s, which claimed it first; nothing is touched: give this Topic another spec.topicName, or delete it",
			name, cluster.Name, client.ObjectKeyFromObject(rival))
	}
	if mine.holds {
		return nil
	}
	return r.claimFromLanes(ctx, cluster.Name, name)
}

// claimFromLanes returns a halt where a topic's name belongs to the dead letter
// topics of a ConsumerGroup.
func (r Registry) claimFromLanes(ctx context.Context, cluster, name string) error {
	id, ok := groupOfLane(name)
	if !ok {
		return nil
	}
	var groups v1alpha1.ConsumerGroupList
	if err := r.Client.List(ctx, &groups, client.MatchingFields{Index: id}); err != nil {
		return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
	}
	for i := range groups.Items {
		if group := &groups.Items[i]; group.Status.DeadLetters != nil && groupClaim(group, cluster, id).holds {
			return halt.Stall(v1alpha1.ReasonConflict,
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

// Group returns a halt where a group ID on a cluster belongs to another
// ConsumerGroup.
func (r Registry) Group(ctx context.Context, group *v1alpha1.ConsumerGroup, cluster, id string) error {
	var groups v1alpha1.ConsumerGroupList
	if err := r.Client.List(ctx, &groups, client.MatchingFields{Index: id}); err != nil {
		return fmt.Errorf("looking for other claims to group %s: %w", id, err)
	}
	var claims []claim
	for i := range groups.Items {
		claims = append(claims, groupClaim(&groups.Items[i], cluster, id))
	}
	if rival := r.rival(ctx, cluster, groupClaim(group, cluster, id), claims); rival != nil {
		return halt.Stall(v1alpha1.ReasonConflict,
			"group %q on KafkaCluster %q belongs to ConsumerGroup %s, which claimed it first; nothing is touched: give this ConsumerGroup another spec.groupId, or delete it",
			id, cluster, client.ObjectKeyFromObject(rival))
	}
	return nil
}

// Lane returns a halt where one of a group's dead letter topics belongs
// to a Topic.
func (r Registry) Lane(ctx context.Context, cluster string, lane []string) error {
	for _, name := range lane {
		var topics v1alpha1.TopicList
		if err := r.Client.List(ctx, &topics, client.MatchingFields{Index: name}); err != nil {
			return fmt.Errorf("looking for other claims to topic %s: %w", name, err)
		}
		for i := range topics.Items {
			if topicClaim(&topics.Items[i], cluster, name).holds {
				return halt.Stall(v1alpha1.ReasonConflict,
					"topic %q, which the dead letter policy needs, belongs to Topic %s; give this ConsumerGroup another spec.groupId",
					name, client.ObjectKeyFromObject(&topics.Items[i]))
			}
		}
	}
	return nil
}
