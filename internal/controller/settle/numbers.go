package settle

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Numbers decides when the volatile numbers of a status are written: with a
// change of a condition, and otherwise at most once an interval. Safe for
// concurrent use.
type Numbers struct {
	interval time.Duration
	now      func() time.Time

	mu      sync.Mutex
	written map[types.UID]time.Time
}

// NewNumbers has numbers written once an interval.
func NewNumbers(interval time.Duration) *Numbers {
	return &Numbers{interval: interval, now: time.Now, written: map[types.UID]time.Time{}}
}

// Due says whether this pass, which ends with err, writes the numbers.
func (n *Numbers) Due(before, after Object, ready Ready, err error) bool {
	judged := after.DeepCopyObject().(Object)
	setShared(judged, ready, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	if equality.Semantic.DeepEqual(*before.GetConditions(), *judged.GetConditions()) && now.Sub(n.written[after.GetUID()]) < n.interval {
		return false
	}
	n.written[after.GetUID()] = now
	return true
}

// Forget drops an object that is gone.
func (n *Numbers) Forget(obj client.Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.written, obj.GetUID())
}

// RoundCount keeps a count to 1,000 as it is, and larger ones to two digits.
func RoundCount(n int64) int64 {
	step := int64(1)
	for n/step >= 1000 || (step > 1 && n/step >= 100) {
		step *= 10
	}
	return n / step * step
}
