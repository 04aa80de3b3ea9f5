package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// writers is how many requests the benchmark makes at once.
const writers = 16

// patience ends a row that does not come to its end.
const patience = 10 * time.Minute

// topicSet is what one row of the table works on.
type topicSet struct {
	namespace, prefix     string
	n, partitions, grants int
}

func (s topicSet) topic(i int) *v1alpha1.Topic {
	partitions := int32(s.partitions)
	topic := &v1alpha1.Topic{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("topic-%s%d", s.prefix, i)},
		Spec:       v1alpha1.TopicSpec{Partitions: &partitions, DeletionPolicy: v1alpha1.DeleteData},
	}
	for g := range s.grants {
		topic.Spec.Access = append(topic.Spec.Access, v1alpha1.Access{
			Principal: fmt.Sprintf("User:user-%d-%d", i, g), Allow: []v1alpha1.Right{v1alpha1.Produce},
		})
	}
	return topic
}

// each calls do for all topics, with several at once.
func (s topicSet) each(ctx context.Context, do func(context.Context, int) error) error {
	var (
		group sync.WaitGroup
		next  = make(chan int)
		errs  = make([]error, writers)
	)
	for w := range writers {
		group.Go(func() {
			for i := range next {
				if errs[w] == nil {
					errs[w] = do(ctx, i)
				}
			}
		})
	}
	for i := range s.n {
		next <- i
	}
	close(next)
	group.Wait()
	return errors.Join(errs...)
}

// bareLoop is the least that anybody has to do.
func (p *platform) bareLoop(ctx context.Context, n, partitions int) (time.Duration, error) {
	set := topicSet{namespace: "bench-bare", n: n, partitions: partitions}
	if err := p.namespace(ctx, set.namespace); err != nil {
		return 0, err
	}
	began := time.Now()
	topics := make([]*v1alpha1.Topic, n)
	err := set.each(ctx, func(ctx context.Context, i int) error {
		topics[i] = set.topic(i)
		return p.api.Create(ctx, topics[i])
	})
	if err != nil {
		return 0, err
	}
	for first := 0; first < n; first += 1000 {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.TimeoutMillis = 30_000
		for i := first; i < min(first+1000, n); i++ {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic = fmt.Sprintf("%s.topic-%d", set.namespace, i)
			topic.NumPartitions, topic.ReplicationFactor = int32(partitions), -1
			request.Topics = append(request.Topics, topic)
		}
		response, err := request.RequestWith(ctx, p.bare)
		if err != nil {
			return 0, err
		}
		for _, topic := range response.Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
				return 0, fmt.Errorf("create %s: %w", topic.Topic, err)
			}
		}
	}
	err = set.each(ctx, func(ctx context.Context, i int) error {
		before := topics[i].DeepCopy()
		meta.SetStatusCondition(&topics[i].Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady, Message: "the topic and its grants are as declared",
		})
		topics[i].Status.ObservedGeneration = topics[i].Generation
		return p.api.Status().Patch(ctx, topics[i], client.MergeFrom(before))
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	// The manager must not find them.
	return took, p.api.DeleteAllOf(ctx, &v1alpha1.Topic{}, client.InNamespace(set.namespace))
}

// created creates the topics and returns how long it took until all are Ready.
func (p *platform) created(ctx context.Context, set topicSet) (time.Duration, error) {
	ready, err := p.watch(ctx, set, func(topic *v1alpha1.Topic) bool {
		return isReady(topic.Status.Conditions, topic.Status.ObservedGeneration, topic.Generation)
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = set.each(ctx, func(ctx context.Context, i int) error { return p.api.Create(ctx, set.topic(i)) })
	if err != nil {
		return 0, err
	}
	err = <-ready
	return time.Since(began), err
}

// changed changes one key of all topics, and returns how long the patches took,
// and how long it took until all are Ready again.
func (p *platform) changed(ctx context.Context, set topicSet) (patches, all time.Duration, err error) {
	ready, err := p.watch(ctx, set, func(topic *v1alpha1.Topic) bool {
		return topic.Spec.Config["retention.ms"] != "" && isReady(topic.Status.Conditions, topic.Status.ObservedGeneration, topic.Generation)
	})
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"config":{"retention.ms":"3600000"}}}`))
	err = set.each(ctx, func(ctx context.Context, i int) error { return p.api.Patch(ctx, set.topic(i), patch) })
	if err != nil {
		return 0, 0, err
	}
	patches = time.Since(began)
	err = <-ready
	return patches, time.Since(began), err
}

// deleted deletes all topics of the set's namespace and returns how long it took
// until the objects are gone.
func (p *platform) deleted(ctx context.Context, set topicSet) (time.Duration, error) {
	began := time.Now()
	if err := p.api.DeleteAllOf(ctx, &v1alpha1.Topic{}, client.InNamespace(set.namespace)); err != nil {
		return 0, err
	}
	for deadline := began.Add(patience); time.Now().Before(deadline); {
		var rest metav1.PartialObjectMetadataList
		rest.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("TopicList"))
		if err := p.api.List(ctx, &rest, client.InNamespace(set.namespace), client.Limit(1)); err != nil {
			return 0, err
		}
		if len(rest.Items) == 0 {
			return time.Since(began), nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("topics of %s are still there after %s", set.namespace, patience)
}

// watch counts the topics of a set that are as wanted. The channel gets nil when
// all are, or why that cannot be told.
func (p *platform) watch(ctx context.Context, set topicSet, wanted func(*v1alpha1.Topic) bool) (<-chan error, error) {
	var now v1alpha1.TopicList
	if err := p.api.List(ctx, &now, client.InNamespace(set.namespace)); err != nil {
		return nil, err
	}
	events, err := p.api.Watch(ctx, &v1alpha1.TopicList{}, client.InNamespace(set.namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}})
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, set.n)
	for i := range set.n {
		names[set.topic(i).Name] = true
	}
	done := make(chan error, 1)
	go func() {
		defer events.Stop()
		late := time.After(patience)
		for len(names) > 0 {
			select {
			case event, open := <-events.ResultChan():
				topic, ok := event.Object.(*v1alpha1.Topic)
				if !open || event.Type == watch.Error || !ok {
					done <- fmt.Errorf("the watch ended with %d topics to go: %+v", len(names), event.Object)
					return
				}
				if wanted(topic) {
					delete(names, topic.Name)
				}
			case <-late:
				done <- fmt.Errorf("%d topics are not as wanted after %s", len(names), patience)
				return
			case <-ctx.Done():
				done <- ctx.Err()
				return
			}
		}
		done <- nil
	}()
	return done, nil
}

func isReady(conditions []metav1.Condition, observed, generation int64) bool {
	return observed == generation && meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)
}
