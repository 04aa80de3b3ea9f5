package child

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lastApplied remembers what Weir applied last, and which generation of the
// child that made: as long as both are the same, the child is as Weir left it.
// A manager that has just started remembers nothing, and applies once. Safe for
// concurrent use.
type lastApplied struct {
	mu      sync.Mutex
	byOwner map[types.UID]map[string]appliedAs
}

type appliedAs struct {
	child      types.UID
	digest     string
	generation int64
}

func newLastApplied() *lastApplied {
	return &lastApplied{byOwner: map[types.UID]map[string]appliedAs{}}
}

func (l *lastApplied) is(owner client.Object, name string, existing client.Object, digest string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.byOwner[owner.GetUID()][name]
	return ok && last.child == existing.GetUID() && last.digest == digest &&
		// A cache that is behind shows an earlier generation.
		existing.GetGeneration() <= last.generation
}

func (l *lastApplied) note(owner client.Object, name string, child client.Object, digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byOwner[owner.GetUID()] == nil {
		l.byOwner[owner.GetUID()] = map[string]appliedAs{}
	}
	l.byOwner[owner.GetUID()][name] = appliedAs{child.GetUID(), digest, child.GetGeneration()}
}

// forget drops the children of an owner that is gone.
func (l *lastApplied) forget(owner client.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byOwner, owner.GetUID())
}
