package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// alarm wakes the objects of one kind from within the operator: it is a source of
// the kind's controller. Before that runs, nobody is there to be woken. Safe for
// concurrent use.
type alarm struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (a *alarm) source() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.queue = queue
		return nil
	})
}

// ring makes a pass over an object. It does not block.
func (a *alarm) ring(name types.NamespacedName) { a.add(name, 0) }

// add makes a pass over an object after those of higher priority.
func (a *alarm) add(name types.NamespacedName, priority int) {
	a.mu.Lock()
	queue := a.queue
	a.mu.Unlock()
	request := reconcile.Request{NamespacedName: name}
	switch queue := queue.(type) {
	case nil:
	case priorityqueue.PriorityQueue[reconcile.Request]:
		queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
	default:
		queue.Add(request)
	}
}

// alarms are those of all kinds that have something in Kafka.
type alarms struct {
	cluster, topic, relay, group alarm
}

// wake makes a pass over a resource. It does not block.
func (a *alarms) wake(ref record.Ref) { a.add(ref, 0) }

// look makes a pass over a resource that was there before the estate of its
// cluster was open: where it is well as it is, after all others, so that these need
// not wait for it.
func (a *alarms) look(resident pool.Resident) {
	priority := 0
	if settle.WasReady(resident.(settle.Object)) {
		priority = handler.LowPriority
	}
	a.add(estate.RefOf(resident), priority)
}

func (a *alarms) add(ref record.Ref, priority int) {
	name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	switch ref.Kind {
	case estate.KindCluster:
		a.cluster.add(name, priority)
	case estate.KindTopic:
		a.topic.add(name, priority)
	case estate.KindRelay:
		a.relay.add(name, priority)
	case estate.KindGroup:
		a.group.add(name, priority)
	}
}
