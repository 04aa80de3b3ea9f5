package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// idleFor is how long an operator without work is watched.
const idleFor = 90 * time.Second

// scale tells what it takes to have n topics with two grants each: until all are
// Ready, while nothing happens, and when the manager starts again; and then 1,000
// consumer groups with a policy.
func (p *platform) scale(ctx context.Context, n int) error {
	if err := p.startManager(ctx); err != nil {
		return err
	}
	set := topicSet{namespace: "bench-many", n: n, partitions: 1, grants: 2}
	if err := p.namespace(ctx, set.namespace); err != nil {
		return err
	}
	title := fmt.Sprintf("%d topics x 1 partition, 2 grants each", n)
	say("%s: created", title)
	took, err := p.created(ctx, set)
	if err != nil {
		return err
	}
	tell(title+": created and Ready", took.Seconds(), "s", 0)
	if err := p.idle(ctx, title); err != nil {
		return err
	}
	if err := p.restarted(ctx, title, set); err != nil {
		return err
	}
	return p.groups(ctx, 1000)
}

// idle watches an operator that has nothing to do, once its events are told.
func (p *platform) idle(ctx context.Context, title string) error {
	say("%s: idle", title)
	for last := -1.0; ; {
		now, err := p.counts(ctx)
		if err != nil {
			return err
		}
		if now.events == last {
			break
		}
		last = now.events
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	before, err := p.counts(ctx)
	if err != nil {
		return err
	}
	cpu, _, err := p.process()
	if err != nil {
		return err
	}
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	after, err := p.counts(ctx)
	if err != nil {
		return err
	}
	cpuAfter, rss, err := p.process()
	if err != nil {
		return err
	}
	asked := 0.0
	for request, n := range after.requests {
		if !strings.HasPrefix(request, "WATCH ") && !strings.Contains(request, " leases/") && !strings.Contains(request, " /") {
			asked += n - before.requests[request]
		}
	}
	tell(title+": idle, API requests but leases and watches", asked/idleFor.Minutes(), "requests/min", 0)
	tell(title+": idle, CPU of the manager", (cpuAfter-cpu)/idleFor.Seconds()*100, "% of a core", 0)
	tell(title+": idle, memory of the manager (RSS)", rss/(1<<20), "MiB", 0)
	sayRequests(before, after)
	return nil
}

// restarted starts the manager again, and applies a topic while it starts.
func (p *platform) restarted(ctx context.Context, title string, set topicSet) error {
	say("%s: started again", title)
	if err := p.stopManager(); err != nil {
		return err
	}
	before, err := p.counts(ctx)
	if err != nil {
		return err
	}
	one := topicSet{namespace: set.namespace, prefix: "late-", n: 1, partitions: 1, grants: 2}
	ready, err := p.watch(ctx, one, func(_ watch.EventType, topic *v1alpha1.Topic) bool {
		return isReady(topic.Status.Conditions, topic.Status.ObservedGeneration, topic.Generation)
	})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.runManager(); err != nil {
		return err
	}
	if err := p.api.Create(ctx, one.topic(0)); err != nil {
		return err
	}
	if err := <-ready; err != nil {
		return err
	}
	tell(title+": a topic applied while the manager starts again, Ready after its start", time.Since(began).Seconds(), "s", 0)
	if err := pause(ctx, time.Minute); err != nil {
		return err
	}
	after, err := p.counts(ctx)
	if err != nil {
		return err
	}
	// Two are that topic's own, and one is its event.
	tell(title+": started again, API writes for topics", after.writes-before.writes-3, "writes", 0)
	sayRequests(before, after)
	return nil
}

// groups has consumer groups with a policy, on one cluster.
func (p *platform) groups(ctx context.Context, n int) error {
	const namespace = "bench-groups"
	title := fmt.Sprintf("%d consumer groups with a policy of two waits", n)
	say("%s: created", title)
	if err := p.namespace(ctx, namespace); err != nil {
		return err
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	topic := topicSet{namespace: namespace, n: 1, partitions: 1}
	if _, err := p.created(ctx, topic); err != nil {
		return err
	}
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: meta("standard"), Spec: v1alpha1.DeadLetterPolicySpec{
		Retry: v1alpha1.Retry{MaxAttempts: 3, Backoff: v1alpha1.Backoff{Policy: v1alpha1.BackoffExponential, Delay: metav1.Duration{Duration: time.Minute}, Factor: new(int32(2))}},
	}}
	if err := p.api.Create(ctx, policy); err != nil {
		return err
	}
	name := func(i int) string { return "group-" + strconv.Itoa(i) }
	began := time.Now()
	err := topicSet{n: n}.each(ctx, func(ctx context.Context, i int) error {
		return p.api.Create(ctx, &v1alpha1.ConsumerGroup{ObjectMeta: meta(name(i)), Spec: v1alpha1.ConsumerGroupSpec{
			Principal: fmt.Sprintf("User:group-%d", i), Topics: []v1alpha1.TopicReference{{Name: topic.topic(0).Name}},
			DeadLetterPolicyRef: &v1alpha1.LocalReference{Name: policy.Name},
		}})
	})
	if err != nil {
		return err
	}
	for {
		var all v1alpha1.ConsumerGroupList
		if err := p.api.List(ctx, &all, client.InNamespace(namespace)); err != nil {
			return err
		}
		ready := 0
		for _, group := range all.Items {
			if isReady(group.Status.Conditions, group.Status.ObservedGeneration, group.Generation) {
				ready++
			}
		}
		if ready == n {
			break
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%d of %d groups are Ready after %s", ready, n, patience)
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	tell(title+": created and Ready", time.Since(began).Seconds(), "s", 0)
	_, rss, err := p.process()
	tell(title+": memory of the manager (RSS)", rss/(1<<20), "MiB", 0)
	return err
}

// process is what the manager has used: CPU in seconds, and memory now in bytes.
func (p *platform) process() (cpu, rss float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	const user, system, resident, ticks = 11, 12, 21, 100 // proc(5); USER_HZ is 100
	number := func(i int) float64 {
		n, parseErr := strconv.ParseFloat(fields[i], 64)
		if err == nil {
			err = parseErr
		}
		return n
	}
	return (number(user) + number(system)) / ticks, number(resident) * float64(os.Getpagesize()), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
