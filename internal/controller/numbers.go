package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// numbers decides when the volatile numbers of a status are written: with a
// change of a condition, and otherwise at most once an interval. Safe for
// concurrent use.
type numbers struct {
	interval time.Duration
	now      func() time.Time

	mu      sync.Mutex
	written map[types.UID]time.Time
}

func newNumbers(interval time.Duration) *numbers {
	return &numbers{interval: interval, now: time.Now, written: map[types.UID]time.Time{}}
}

// due says whether this pass, which ends with err, writes the numbers.
func (n *numbers) due(before, after client.Object, err error) bool {
	judged := after.DeepCopyObject().(client.Object)
	setShared(judged, err)
	was, _ := sharedOf(before)
	is, _ := sharedOf(judged)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	if equality.Semantic.DeepEqual(*was, *is) && now.Sub(n.written[after.GetUID()]) < n.interval {
		return false
	}
	n.written[after.GetUID()] = now
	return true
}

// forget drops an object that is gone.
func (n *numbers) forget(obj client.Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.written, obj.GetUID())
}
