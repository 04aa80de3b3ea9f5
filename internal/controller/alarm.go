package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/record"
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
func (a *alarm) ring(name types.NamespacedName) {
	a.mu.Lock()
	queue := a.queue
	a.mu.Unlock()
	if queue != nil {
		queue.Add(reconcile.Request{NamespacedName: name})
	}
}

// alarms are those of all kinds that have something in Kafka.
type alarms struct {
	cluster, topic, relay, group alarm
}

// wake makes a pass over a resource. It does not block.
func (a *alarms) wake(ref record.Ref) {
	name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	switch ref.Kind {
	case estate.KindCluster:
		a.cluster.ring(name)
	case estate.KindTopic:
		a.topic.ring(name)
	case estate.KindRelay:
		a.relay.ring(name)
	case estate.KindGroup:
		a.group.ring(name)
	}
}
