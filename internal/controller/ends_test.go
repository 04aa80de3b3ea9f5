package controller

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// memory is a reconciler that remembers what it has seen, as those of the kinds do.
type memory map[types.UID]string

func (m memory) Reconcile(_ context.Context, topic *v1alpha1.Topic) (reconcile.Result, error) {
	m[topic.UID] = topic.Name
	return reconcile.Result{}, nil
}

// However an object goes, what is kept for it goes too: 1,000 come and go
// without a finalizer that anybody waits for, and another one of the same name
// follows.
func TestNothingIsKeptOfWhatIsGone(t *testing.T) {
	t.Parallel()
	c := fake.NewClientBuilder().WithScheme(NewScheme()).Build()
	kept := memory{}
	gone := func(_ context.Context, name types.NamespacedName, seen bool) error {
		if !seen {
			t.Errorf("%s was seen", name)
		}
		return nil
	}
	e := newEnds(c, kept, gone, func(obj client.Object) {
		if _, had := kept[obj.GetUID()]; !had {
			t.Errorf("%s is forgotten and was not known", obj.GetUID())
		}
		delete(kept, obj.GetUID())
	})
	pass := func(name string) {
		t.Helper()
		request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
		if _, err := e.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name, uid string) *v1alpha1.Topic {
		topic := &v1alpha1.Topic{}
		topic.Namespace, topic.Name, topic.UID = "shop", name, types.UID(uid)
		if err := c.Create(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		return topic
	}
	for i := range 1000 {
		name := fmt.Sprint("topic-", i)
		topic := create(name, name+"-first")
		pass(name)
		if err := c.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // its successor is there before anybody has looked
			topic = create(name, name+"-second")
			pass(name)
			if len(kept) != 1 {
				t.Fatalf("kept of %s: %v", name, kept)
			}
			if err := c.Delete(t.Context(), topic, client.GracePeriodSeconds(0)); err != nil {
				t.Fatal(err)
			}
		}
		pass(name)
	}
	if len(kept) > 0 || len(e.known) > 0 {
		t.Errorf("left: %v, %v", kept, e.known)
	}
}
