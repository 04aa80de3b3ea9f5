package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// perRequest is how many topics the bare loop names in one request to Kafka.
const perRequest = 1000

// bareLoop is how long the least takes that anybody has to do.
type bareLoop struct{ created, deleted time.Duration }

// measureBare creates topics and deletes them again, as nobody could with less.
func (p *platform) measureBare(ctx context.Context, n, partitions int) (took bareLoop, err error) {
	set := topicSet{namespace: "bench-bare", n: n, partitions: partitions}
	if err := p.namespace(ctx, set.namespace); err != nil {
		return took, err
	}
	began := time.Now()
	topics := make([]*v1alpha1.Topic, n)
	err = set.each(ctx, func(ctx context.Context, i int) error {
		topics[i] = set.topic(i)
		return p.api.Create(ctx, topics[i])
	})
	if err != nil {
		return took, err
	}
	if err := p.bareCreateTopics(ctx, set); err != nil {
		return took, err
	}
	err = set.each(ctx, func(ctx context.Context, i int) error {
		before := topics[i].DeepCopy()
		meta.SetStatusCondition(&topics[i].Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady, Message: "the topic and its grants are as declared",
		})
		topics[i].Status.ObservedGeneration = topics[i].Generation
		return p.api.Status().Patch(ctx, topics[i], client.MergeFrom(before))
	})
	took.created = time.Since(began)
	if err != nil {
		return took, err
	}

	finalizer := func(list string) client.Patch {
		return client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"finalizers":%s}}`, list))
	}
	err = set.each(ctx, func(ctx context.Context, i int) error {
		return p.api.Patch(ctx, set.topic(i), finalizer(`["`+v1alpha1.Finalizer+`"]`))
	})
	if err != nil {
		return took, err
	}
	began = time.Now()
	if err := p.api.DeleteAllOf(ctx, &v1alpha1.Topic{}, client.InNamespace(set.namespace)); err != nil {
		return took, err
	}
	if err := p.bareDeleteTopics(ctx, set); err != nil {
		return took, err
	}
	err = set.each(ctx, func(ctx context.Context, i int) error { return p.api.Patch(ctx, set.topic(i), finalizer("null")) })
	took.deleted = time.Since(began)
	return took, err
}

func (p *platform) bareCreateTopics(ctx context.Context, set topicSet) error {
	for first := 0; first < set.n; first += perRequest {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.TimeoutMillis = 30_000
		for i := first; i < min(first+perRequest, set.n); i++ {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic = set.kafkaName(i)
			topic.NumPartitions, topic.ReplicationFactor = int32(set.partitions), -1
			request.Topics = append(request.Topics, topic)
		}
		response, err := request.RequestWith(ctx, p.bare)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
				return fmt.Errorf("create %s: %w", topic.Topic, err)
			}
		}
	}
	return nil
}

func (p *platform) bareDeleteTopics(ctx context.Context, set topicSet) error {
	for first := 0; first < set.n; first += perRequest {
		request := kmsg.NewPtrDeleteTopicsRequest()
		request.TimeoutMillis = 30_000
		for i := first; i < min(first+perRequest, set.n); i++ {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.Topic = kmsg.StringPtr(set.kafkaName(i))
			request.Topics = append(request.Topics, topic)
			request.TopicNames = append(request.TopicNames, set.kafkaName(i))
		}
		response, err := request.RequestWith(ctx, p.bare)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
				return fmt.Errorf("delete %v: %w", topic.Topic, err)
			}
		}
	}
	return nil
}

func (s topicSet) kafkaName(i int) string { return fmt.Sprintf("%s.%s", s.namespace, s.topic(i).Name) }
