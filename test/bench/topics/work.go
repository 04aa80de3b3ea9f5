package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	// delete: topics go with their Topics. A Topic that keeps its topic costs one
	// write less, since it needs no finalizer.
	delete bool
}

func (s topicSet) topic(i int) *v1alpha1.Topic {
	partitions := int32(s.partitions)
	topic := &v1alpha1.Topic{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("topic-%s%d", s.prefix, i)},
		Spec:       v1alpha1.TopicSpec{Partitions: &partitions},
	}
	if s.delete {
		topic.Spec.DeletionPolicy = v1alpha1.DeleteData
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

// created creates the topics and returns how long it took until all are Ready.
func (p *platform) created(ctx context.Context, set topicSet) (time.Duration, error) {
	ready, err := p.watch(ctx, set, func(_ watch.EventType, topic *v1alpha1.Topic) bool {
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
	ready, err := p.watch(ctx, set, func(_ watch.EventType, topic *v1alpha1.Topic) bool {
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
	gone, err := p.watch(ctx, set, func(kind watch.EventType, _ *v1alpha1.Topic) bool { return kind == watch.Deleted })
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.api.DeleteAllOf(ctx, &v1alpha1.Topic{}, client.InNamespace(set.namespace)); err != nil {
		return 0, err
	}
	err = <-gone
	return time.Since(began), err
}

// watch counts the topics of a set that are as wanted. The channel gets nil when
// all are, or why that cannot be told.
func (p *platform) watch(ctx context.Context, set topicSet, wanted func(watch.EventType, *v1alpha1.Topic) bool) (<-chan error, error) {
	names := make(map[string]bool, set.n)
	for i := range set.n {
		names[set.topic(i).Name] = true
	}
	see := func(kind watch.EventType, topic *v1alpha1.Topic) {
		if wanted(kind, topic) {
			delete(names, topic.Name)
		}
	}
	events, err := p.follow(ctx, set, see)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for len(names) > 0 {
			select {
			case event, open := <-events.ResultChan():
				if topic, ok := event.Object.(*v1alpha1.Topic); open && ok {
					see(event.Type, topic)
					continue
				}
				// The API server ends watches that cannot keep up.
				events.Stop()
				if events, err = p.follow(ctx, set, see); err != nil {
					done <- err
					return
				}
			case <-ctx.Done():
				done <- fmt.Errorf("%d topics are not as wanted: %w", len(names), ctx.Err())
				return
			}
		}
		events.Stop()
		done <- nil
	}()
	return done, nil
}

// follow shows the topics of a set as they are now, and watches them from there.
func (p *platform) follow(ctx context.Context, set topicSet, see func(watch.EventType, *v1alpha1.Topic)) (watch.Interface, error) {
	var now v1alpha1.TopicList
	if err := p.api.List(ctx, &now, client.InNamespace(set.namespace)); err != nil {
		return nil, err
	}
	for i := range now.Items {
		see(watch.Modified, &now.Items[i])
	}
	return p.api.Watch(ctx, &v1alpha1.TopicList{}, client.InNamespace(set.namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}})
}

func isReady(conditions []metav1.Condition, observed, generation int64) bool {
	return observed == generation && meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)
}
