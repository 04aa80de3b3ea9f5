package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// world is a cluster's ACLs and the statuses of the resources on it, which
// outlive the operator, and an operator whose passes are interleaved and killed
// at will.
type world struct {
	*testing.T
	random    *rand.Rand
	broker    bindings
	strangers bindings // made by nobody here
	statuses  map[types.UID][]string
	older     map[types.UID][]string // what a cache that is behind shows
	quiet     bool                   // caches are not behind any more
	ledger    *Ledger
	owners    []*worldOwner
	log       []string
}

// worldOwner is one resource. Its pass is a list of steps that are left.
type worldOwner struct {
	uid      types.UID
	want     []kafka.Binding // by its spec
	has      []kafka.Binding // what its last finished pass has granted
	deleting bool
	gone     bool
	pass     []func() error
	pledge   *pledge
}

func (w *world) object(o *worldOwner) *v1alpha1.Topic {
	topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{UID: o.uid}}
	if o.deleting {
		topic.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	}
	topic.Status.Cluster = "main"
	topic.Status.ManagedBindings = w.statuses[o.uid]
	return topic
}

// write makes lines the status of o, unless the pass began with an older one:
// then the API server answers with a conflict.
func (w *world) write(o *worldOwner, read, lines []string) error {
	if !slices.Equal(read, w.statuses[o.uid]) {
		return errConflict
	}
	w.older[o.uid], w.statuses[o.uid] = w.statuses[o.uid], lines
	return nil
}

var errConflict = errors.New("conflict")

// List implements client.Reader for the ledger, which reads the resources of a
// cluster when it opens its book.
func (w *world) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if topics, ok := list.(*v1alpha1.TopicList); ok {
		for _, o := range w.owners {
			if !o.gone {
				topics.Items = append(topics.Items, *w.object(o))
			}
		}
	}
	return nil
}

func (w *world) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the ledger reads lists only")
}

func (w *world) start() { w.ledger = newLedger(w, time.Hour) }

// begin plans a pass over o. The broker is asked in one step, and the answer
// is used in a later one.
func (w *world) begin(o *worldOwner) {
	want := o.want
	if o.deleting {
		want = nil
	}
	var asked time.Time
	var answer bindings
	object := w.object(o)
	if !w.quiet && w.random.IntN(4) == 0 && !o.deleting {
		object.Status.ManagedBindings = w.older[o.uid]
	}
	read := object.Status.ManagedBindings
	var keep []kafka.Binding
	o.pass = []func() error{
		func() error { asked, answer = time.Now(), maps.Clone(w.broker); return nil },
		func() error {
			book, err := w.ledger.book(w.Context(), "main")
			if err != nil {
				return err
			}
			book.view.show(nil, asked, answer)
			o.has = nil // it is no longer entitled to what it had and wants no more
			o.pledge, err = w.ledger.plan(w.Context(), "main", nil, object, want, true)
			if o.pledge == nil {
				w.begin(o) // the answer is worth nothing any more
				return err
			}
			plan := o.pledge.BindingPlan
			w.log = append(w.log, fmt.Sprintf("  wants %v, records %v, adds %v, removes %v, keeps %v", want, plan.Record, plan.Add, plan.Remove, plan.Keep))
			return err
		},
		func() error {
			if o.pledge.certain {
				return nil
			}
			record := formatBindings(o.pledge.Record)
			if containsAll(read, record) {
				record = read
			}
			err := w.write(o, read, record)
			read = record
			return err
		},
		func() error {
			if !o.pledge.certain {
				o.pledge.wrote()
			}
			return nil
		},
		func() error { maps.Copy(w.broker, bindingSet(o.pledge.Add)); return nil },
		func() error {
			for _, binding := range o.pledge.Remove {
				delete(w.broker, binding)
			}
			return nil
		},
		func() error { keep = o.pledge.Keep; o.pledge.finish(nil); o.pledge = nil; return nil },
		func() error {
			o.has = want
			if lines := formatBindings(keep); !slices.Equal(read, lines) {
				if err := w.write(o, read, lines); err != nil {
					return err
				}
			}
			if o.deleting && len(w.statuses[o.uid]) == 0 {
				o.gone = true
				delete(w.statuses, o.uid)
				w.ledger.Forget("main", w.object(o))
			}
			return nil
		},
	}
}

// step makes the next step of o's pass, unless it has to wait for somebody's removal.
func (w *world) step(o *worldOwner) {
	if book := w.ledger.books["main"]; book != nil && !o.deleting && len(o.pass) == 7 {
		for _, binding := range o.want {
			if book.removing[binding] != nil {
				return
			}
		}
	}
	w.log = append(w.log, fmt.Sprintf("%s step %d", o.uid, 8-len(o.pass)))
	next := o.pass[0]
	o.pass = o.pass[1:]
	switch err := next(); {
	case errors.Is(err, errConflict):
		w.fail(o)
	case err != nil:
		w.Fatal(err)
	}
}

// fail ends o's pass in the middle, as an error of Kafka or the API server does.
func (w *world) fail(o *worldOwner) {
	w.log = append(w.log, fmt.Sprintf("%s fails", o.uid))
	if o.pledge != nil {
		o.pledge.finish(errors.New("injected"))
	}
	o.pledge, o.pass = nil, nil
}

// crash ends the operator in the middle of all passes; another one starts.
func (w *world) crash() {
	w.log = append(w.log, "crash")
	for _, o := range w.owners {
		o.pledge, o.pass = nil, nil
	}
	w.start()
}

// check is what holds after every step.
func (w *world) check() {
	w.Helper()
	recorded := bindings{}
	for _, lines := range w.statuses {
		list, err := parseBindings(lines)
		if err != nil {
			w.Fatal(err)
		}
		maps.Copy(recorded, bindingSet(list))
	}
	for binding := range w.broker {
		if w.strangers.count(binding)+recorded.count(binding) == 0 {
			w.fatalf("nobody knows of %s, which Weir has made", binding)
		}
	}
	for binding := range w.strangers {
		if w.broker.count(binding) == 0 {
			w.fatalf("a stranger's %s is gone", binding)
		}
		if recorded.count(binding) > 0 {
			w.fatalf("a stranger's %s counts as made by Weir", binding)
		}
	}
	for _, o := range w.owners {
		for _, binding := range o.has {
			if !o.gone && !o.deleting && w.broker.count(binding) == 0 {
				w.fatalf("%s lost %s, which it needs and was granted", o.uid, binding)
			}
		}
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.Helper()
	for _, line := range w.log {
		w.Log(line)
	}
	w.Fatalf(format, args...)
}

// settle finishes what is under way and makes passes until nothing changes.
func (w *world) settle() {
	w.quiet = true
	for range 4 {
		for _, o := range w.owners {
			if !o.gone && len(o.pass) == 0 {
				w.begin(o)
			}
		}
		for w.busy() {
			for _, o := range w.owners {
				if len(o.pass) > 0 {
					w.step(o)
					w.check()
				}
			}
		}
	}
	want := maps.Clone(w.strangers)
	for _, o := range w.owners {
		if o.deleting && !o.gone {
			w.fatalf("%s cannot go", o.uid)
		}
		if !o.gone {
			maps.Copy(want, bindingSet(o.want))
		}
	}
	if diff := cmp.Diff(want, w.broker); diff != "" {
		w.fatalf("what is left on the broker (-want +got):\n%s", diff)
	}
}

func (w *world) busy() bool {
	return slices.ContainsFunc(w.owners, func(o *worldOwner) bool { return len(o.pass) > 0 })
}

func TestLedgerLosesTrackOfNothing(t *testing.T) {
	t.Parallel()
	all := kafka.Consume("User:a", "orders")
	all = append(all, kafka.Produce("User:a", "orders")...)
	all = append(all, kafka.ReadGroup("User:a", "billing")...)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := &world{T: t, random: random, broker: bindings{}, strangers: bindings{}, statuses: map[types.UID][]string{}, older: map[types.UID][]string{}}
		w.log = append(w.log, fmt.Sprintf("seed %d", seed))
		for _, binding := range all {
			if random.IntN(6) == 0 {
				w.strangers[binding], w.broker[binding] = struct{}{}, struct{}{}
			}
		}
		for i := range 4 {
			w.owners = append(w.owners, &worldOwner{uid: types.UID(fmt.Sprint("owner-", i))})
		}
		w.start()
		for range 150 {
			o := w.owners[random.IntN(len(w.owners))]
			switch {
			case o.gone:
			case random.IntN(60) == 0:
				w.crash()
			case len(o.pass) > 0 && random.IntN(25) == 0:
				w.fail(o)
			case len(o.pass) > 0:
				w.step(o)
			case random.IntN(20) == 0:
				o.deleting = true
				w.begin(o)
			default:
				if !o.deleting {
					o.want = slices.DeleteFunc(slices.Clone(all), func(kafka.Binding) bool { return random.IntN(2) == 0 })
				}
				w.begin(o)
			}
			w.check()
		}
		w.settle()
	}
}

// owner is a Topic on the cluster "main" whose status lists bindings.
func ledgerOwner(uid types.UID, recorded ...kafka.Binding) *v1alpha1.Topic {
	topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{UID: uid}}
	topic.Status.Cluster = "main"
	topic.Status.ManagedBindings = formatBindings(recorded)
	return topic
}

// show makes have what the cluster shows.
func (l *Ledger) show(cluster string, have bindings) error {
	book, err := l.book(context.Background(), cluster)
	if err == nil {
		book.view.show(nil, time.Now(), have)
	}
	return err
}

type noReader struct{ client.Reader }

func (noReader) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// A resource that needs a binding which another one is removing waits until it
// is gone, and then makes it anew: the removal cannot come after the addition.
func TestLedgerWaitsForARemoval(t *testing.T) {
	t.Parallel()
	binding := kafka.ReadGroup("User:a", "billing")[0]
	l := newLedger(noReader{}, time.Hour)
	if err := l.show("main", bindings{binding: {}}); err != nil {
		t.Fatal(err)
	}
	removing, err := l.plan(t.Context(), "main", nil, ledgerOwner("first", binding), nil, true)
	if err != nil || len(removing.Remove) != 1 {
		t.Fatalf("the first plans %+v, %v; want a removal", removing, err)
	}

	planned := make(chan *pledge)
	go func() {
		adding, err := l.plan(t.Context(), "main", nil, ledgerOwner("second"), []kafka.Binding{binding}, true)
		if err != nil {
			t.Error(err)
		}
		planned <- adding
	}()
	select {
	case <-planned:
		t.Fatal("the second planned while the first was removing")
	case <-time.After(20 * time.Millisecond):
	}
	removing.finish(nil)
	if adding := <-planned; adding == nil || !slices.Contains(adding.Add, binding) {
		t.Errorf("the second plans %+v; want an addition", adding)
	}
}

func TestLedgerStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	binding := kafka.ReadGroup("User:a", "billing")[0]
	l := newLedger(noReader{}, time.Hour)
	if err := l.show("main", bindings{binding: {}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.plan(t.Context(), "main", nil, ledgerOwner("first", binding), nil, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.plan(ctx, "main", nil, ledgerOwner("second"), []kafka.Binding{binding}, true); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v, want %v", err, context.Canceled)
	}
}

// What Weir has just changed counts more than an answer that a broker gave
// before it knew.
func TestViewTrustsRecentChanges(t *testing.T) {
	t.Parallel()
	added, removed := kafka.ReadGroup("User:a", "added")[0], kafka.ReadGroup("User:a", "removed")[0]
	var view bindingsView
	view.show(nil, time.Now(), bindings{removed: {}})
	view.change([]kafka.Binding{added}, []kafka.Binding{removed})

	view.show(nil, time.Now(), bindings{removed: {}})
	if diff := cmp.Diff(bindings{added: {}}, view.have); diff != "" {
		t.Errorf("soon after the change (-want +got):\n%s", diff)
	}
	view.show(nil, time.Now().Add(brokerDelay+time.Second), bindings{removed: {}})
	if diff := cmp.Diff(bindings{removed: {}}, view.have); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
	view.change([]kafka.Binding{added}, nil)
	view.show(new(kafka.Cluster), time.Now(), bindings{})
	if diff := cmp.Diff(bindings{}, view.have); diff != "" {
		t.Errorf("after a change of the connection (-want +got):\n%s", diff)
	}
}
