package harness

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/settle"
)

// Tap sees the requests that write to the API server: it counts them, and can
// break them.
type Tap struct {
	Writes atomic.Int64
	// refuse, where set, says why a request must fail.
	refuse atomic.Pointer[func(*http.Request) error]
}

// Breaking makes the requests fail for which refuse returns an error, until
// the returned function is called.
func (a *Tap) Breaking(refuse func(*http.Request) error) (restore func()) {
	a.refuse.Store(&refuse)
	return func() { a.refuse.Store(nil) }
}

type tapped struct {
	next http.RoundTripper
	*Tap
}

func (t tapped) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet {
		t.Writes.Add(1)
		if refuse := t.refuse.Load(); refuse != nil {
			if err := (*refuse)(request); err != nil {
				return nil, err
			}
		}
	}
	return t.next.RoundTrip(request)
}

// Recorder keeps events in memory. It implements events.EventRecorder.
type Recorder struct {
	mu   sync.Mutex
	seen []string
	// Transitions are kept apart: tests of effects need not foresee them.
	Transitions []string
}

// Eventf keeps an event as "Kind/name Reason Action: note".
func (r *Recorder) Eventf(regarding, _ runtime.Object, _, reason, action, note string, args ...any) {
	obj := regarding.(client.Object)
	kind := strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1alpha1.")
	r.mu.Lock()
	defer r.mu.Unlock()
	if action == settle.Settled {
		r.Transitions = append(r.Transitions, kind+" "+reason)
		return
	}
	r.seen = append(r.seen, fmt.Sprintf("%s/%s %s %s: %s", kind, obj.GetName(), reason, action, fmt.Sprintf(note, args...)))
}

// AnnotatedEventf is not used by the operator.
func (r *Recorder) AnnotatedEventf(regarding, related runtime.Object, _ map[string]string, kind, reason, action, note string, args ...any) {
	r.Eventf(regarding, related, kind, reason, action, note, args...)
}

// Take returns the events of effects since it was last called.
func (r *Recorder) Take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// WantsEvents compares the events since this was last asked.
func (h *Harness) WantsEvents(want ...string) {
	h.Helper()
	if diff := cmp.Diff(want, h.Events.Take(), cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("events (-want +got):\n%s", diff)
	}
}
