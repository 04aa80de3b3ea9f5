package controller

import (
	"context"
	"errors"
	"time"

	"github.com/weir-dev/weir/internal/kafka"
)

// topicConfirm is when to look again at a topic that the controller of the
// cluster has created and the brokers do not show yet.
const topicConfirm = 200 * time.Millisecond

// ensured is what ensureTopic found and did.
type ensured struct {
	// before is the topic as it was found, after as it is now.
	before, after kafka.Topic
	changes       []kafka.Change
}

// ensureTopic makes a topic what spec says. It writes nothing where nothing
// differs. A part of the spec that is refused does not keep the rest from
// being applied. Errors are halts.
func ensureTopic(ctx context.Context, cluster *kafka.Cluster, spec kafka.TopicSpec) (ensured, error) {
	have, err := cluster.ObserveTopic(ctx, spec.Name)
	if err != nil {
		return ensured{}, kafkaHalt(err)
	}
	result := ensured{before: have, after: have}
	plan := kafka.PlanTopic(spec, have)
	var failures []error
	if len(plan.Changes) > 0 {
		if err := cluster.ApplyTopic(ctx, spec.Name, plan.Changes); err != nil {
			failures = append(failures, err)
		} else {
			result.changes = plan.Changes
		}
		if result.after, err = cluster.ObserveTopic(ctx, spec.Name); err != nil {
			return result, kafkaHalt(err)
		}
	}
	for _, refused := range plan.Refused {
		failures = append(failures, refused)
	}
	if len(failures) > 0 {
		return result, kafkaHalt(errors.Join(failures...))
	}
	if !result.after.Exists {
		return result, progress(topicConfirm, "topic %s is created; waiting for the brokers to show it", spec.Name)
	}
	return result, nil
}
