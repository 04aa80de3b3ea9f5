package controller

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// An object whose deletion a watch shows was deleted by somebody, also before the
// first pass over it; one that a new watch only misses may be anything.
func TestWhoSawItGo(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	gone := func(_ context.Context, name types.NamespacedName, saw bool) error {
		seen[name.Name] = saw
		return nil
	}
	e := newEnds(fake.NewClientBuilder().WithScheme(NewScheme()).Build(), memory{}, gone, nothing)
	for name, how := range map[string]struct{ passed, shown, missed, want bool }{
		"never-heard-of":       {want: false},
		"shown-before-a-pass":  {shown: true, want: true},
		"shown-after-a-pass":   {passed: true, shown: true, want: true},
		"missed-after-a-pass":  {passed: true, missed: true, want: false},
		"missed-before-a-pass": {missed: true, want: false},
		"gone-after-a-pass":    {passed: true, want: true},
	} {
		key := types.NamespacedName{Namespace: "shop", Name: name}
		if how.passed {
			e.known[key] = "uid"
		}
		if how.shown || how.missed {
			e.deletions().Delete(event.DeleteEvent{
				Object: &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}, DeleteStateUnknown: how.missed,
			})
		}
		if _, err := e.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if seen[name] != how.want {
			t.Errorf("%s: seen is %t", name, seen[name])
		}
	}
	if len(e.known)+len(e.left) > 0 {
		t.Errorf("kept: %v, %v", e.known, e.left)
	}
}
