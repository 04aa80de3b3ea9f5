package controller

import (
	"context"
	"time"

	"github.com/weir-dev/weir/internal/kafka"
)

// topicConfirm is when to look again at a topic that the controller of the
// cluster has created or changed, and the brokers do not show so yet.
const topicConfirm = 200 * time.Millisecond

// ensured is what ensureTopic found and did.
type ensured struct {
	// before is the topic as it was found, after as it is now.
	before, after kafka.Topic
	changes       []kafka.Change
}

// ensureTopic makes a topic, found as have, what spec says. It writes nothing
// where nothing differs. A part of the spec that is refused does not keep the
// rest from being applied. Errors are halts.
func ensureTopic(ctx context.Context, cluster *kafka.Cluster, spec kafka.TopicSpec, have kafka.Topic) (ensured, error) {
	result := ensured{before: have, after: have}
	plan := kafka.PlanTopic(spec, have)
	var failures []error
	for _, refused := range plan.Refused {
		failures = append(failures, kafkaHalt(refused))
	}
	if len(plan.Changes) > 0 {
		err := cluster.ApplyTopic(ctx, spec.Name, plan.Changes)
		if err == nil {
			result.changes = plan.Changes
		}
		failures = append(failures, kafkaHalt(err))
		result.after, err = cluster.ObserveTopic(ctx, spec.Name)
		failures = append(failures, kafkaHalt(err))
	}
	if err := together(failures...); err != nil {
		return result, err
	}
	if len(kafka.PlanTopic(spec, result.after).Changes) > 0 {
		return result, soon(topicConfirm, progress("topic %s is created or changed; waiting for the brokers to show it", spec.Name))
	}
	return result, nil
}
