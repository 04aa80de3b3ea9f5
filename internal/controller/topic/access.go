package topic

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// right is an ACL binding of an access list, and the group or transactional ID
// that it is about, where it is about one.
type right struct {
	kafka.Binding
	use record.Key
}

// rights are what a Topic's access list asks for.
func rights(access []v1alpha1.Access, topic string) []right {
	var all []right
	add := func(use record.Key, bindings []kafka.Binding) {
		for _, binding := range bindings {
			all = append(all, right{binding, use})
		}
	}
	for _, entry := range access {
		for _, allowed := range entry.Allow {
			switch allowed {
			case v1alpha1.Produce:
				add(record.Key{}, kafka.Produce(entry.Principal, topic))
			case v1alpha1.Consume:
				add(record.Key{}, kafka.Consume(entry.Principal, topic))
			}
		}
		for _, group := range entry.Groups {
			add(record.Key{Kind: record.Group, Name: group}, kafka.ReadGroup(entry.Principal, group))
		}
		for _, id := range entry.TransactionalIDs {
			add(record.Key{Kind: record.TransactionalID, Name: id}, kafka.ProduceTransactional(entry.Principal, id))
		}
	}
	return all
}

// grant declares what the access list asks for. What it may not name is only
// kept, where nobody else has it. Errors are halts.
func (r *Reconciler) grant(place estate.Place, topic *v1alpha1.Topic) error {
	ref := estate.RefOf(topic)
	wants := grants.Wants{}
	var errs []error
	for _, right := range rights(topic.Spec.Access, topic.Status.TopicName) {
		want := grants.Grant
		if right.use != (record.Key{}) {
			verdict := place.Use(ref, right.use)
			if err := place.Refused(verdict, "spec.access"); err != nil {
				errs = append(errs, err)
				if want = grants.Keep; verdict.Outcome != names.OutsideRule {
					continue
				}
			}
		}
		wants[right.Binding] = max(wants[right.Binding], want)
	}
	topic.Status.Grants = int32(len(wants))
	place.Declare(ref, estate.VersionOf(topic), wants)
	return halt.Together(errs...)
}

// declare declares that what the access list asks for is only kept, or that
// nothing is wanted: the name is another's.
func declare(place estate.Place, topic *v1alpha1.Topic, kept bool) {
	var wants grants.Wants
	if kept {
		var bindings []kafka.Binding
		for _, right := range rights(topic.Spec.Access, estate.TopicName(topic)) {
			bindings = append(bindings, right.Binding)
		}
		wants = estate.Keeping(bindings)
	}
	place.Declare(estate.RefOf(topic), estate.VersionOf(topic), wants)
}

// enforced says whether the grants are made. Errors are halts.
func (r *Reconciler) enforced(ctx context.Context, topic *v1alpha1.Topic, place estate.Place) error {
	disabled, err := estate.Enforced(place.State(ctx, estate.RefOf(topic)))
	switch h, halted := halt.As(err); {
	case disabled:
		settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, v1alpha1.ReasonAuthorizerDisabled,
			"the cluster has no authorizer, so that anybody may do anything; set authorizer.class.name on the brokers")
	case err == nil:
		settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced, "the grants are in the cluster's ACLs")
	case halted && h.Reason == v1alpha1.ReasonDenied:
		settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, h.Reason, h.Message)
		return nil // the topic and its grants are as declared
	case halted && h.Kind == halt.Stalled:
		settle.SetCondition(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, h.Reason, h.Message)
	}
	return err
}
