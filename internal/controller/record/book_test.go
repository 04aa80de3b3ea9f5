package record_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

// shelf is a namespace with the records of one Kafka cluster after another.
type shelf struct {
	client    client.WithWatch
	namespace string
}

func newShelf(t *testing.T) shelf {
	t.Helper()
	control := kube.Shared(t)
	c, err := client.NewWithWatch(control.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return shelf{c, control.Namespace(t)}
}

func leads(context.Context) (bool, error) { return true, nil }

func (s shelf) options(cluster string) record.Options {
	return record.Options{Client: s.client, Namespace: s.namespace, ClusterID: cluster, Writer: "here", Leads: leads}
}

// open opens and loads a record; it is closed with the test.
func open(t testing.TB, options record.Options) (*record.Book, record.State) {
	t.Helper()
	book := record.Open(options)
	t.Cleanup(book.Close)
	state, err := book.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return book, state
}

func topic(name string) record.Change {
	return record.Change{Key: record.Key{Kind: record.Topic, Name: name}, Entry: &record.Entry{
		Phase: record.Held, Holder: record.Ref{Kind: "Topic", Namespace: "shop", Name: name}, ID: "id-of-" + name,
	}}
}

func gone(name string) record.Change {
	return record.Change{Key: record.Key{Kind: record.Topic, Name: name}}
}

func put(t testing.TB, book *record.Book, changes ...record.Change) {
	t.Helper()
	if err := book.Store(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func entriesOf(changes ...record.Change) map[record.Key]record.Entry {
	entries := map[record.Key]record.Entry{}
	for _, change := range changes {
		if change.Entry == nil {
			delete(entries, change.Key)
		} else {
			entries[change.Key] = *change.Entry
		}
	}
	return entries
}

func TestStoredIsLoaded(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	book, first := open(t, s.options("a/cluster=="))
	if len(first.Entries) > 0 || first.Lost || first.Elsewhere != "" {
		t.Errorf("a new record says %+v", first)
	}
	put(t, book, topic("orders"), topic("payments"))
	put(t, book, gone("payments"))
	if err := book.Later(topic("refunds")); err != nil {
		t.Error(err)
	}
	book.Close() // stores what waits
	if err := book.Store(t.Context(), nil); err == nil {
		t.Error("a closed record stores")
	}

	again, state := open(t, s.options("a/cluster=="))
	want := entriesOf(topic("orders"), topic("refunds"))
	if diff := cmp.Diff(record.State{Entries: want}, state); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, maps.Collect(again.Entries())); diff != "" {
		t.Errorf("in memory (-want +got):\n%s", diff)
	}
	if entry, ok := again.Entry(topic("orders").Key); !ok || entry.ID != "id-of-orders" {
		t.Errorf("orders is %+v, %v", entry, ok)
	}
	_, other := open(t, s.options("another"))
	if len(other.Entries) > 0 {
		t.Errorf("another cluster's record has %v", other.Entries)
	}
}

func TestLostAndElsewhere(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	options := s.options("kafka")
	options.Had = true
	book, state := open(t, options)
	if !state.Lost {
		t.Error("a record that was there is not lost")
	}
	put(t, book, topic("orders"))
	if _, state := open(t, options); !state.Lost {
		t.Error("a process that ended before the record was rebuilt leaves one that is not lost")
	}
	rebuilt, _ := open(t, options)
	if err := rebuilt.Rebuilt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, state := open(t, options); state.Lost {
		t.Error("a record that was rebuilt is still lost")
	}

	there := s.options("kafka")
	there.Writer = "there"
	copied, state := open(t, there)
	if state.Elsewhere != "here" || state.Lost {
		t.Errorf("read in another Kubernetes cluster: %+v", state)
	}
	put(t, copied, topic("payments")) // that alone is no agreement
	if _, state := open(t, there); state.Elsewhere != "here" {
		t.Errorf("after a store: %+v", state)
	}
	if err := copied.Agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, state := open(t, there); state.Elsewhere != "" {
		t.Errorf("after the agreement: %+v", state)
	}
}

// Two processes: the one that has the lease no more ends before it does harm.
func TestFence(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	options := s.options("kafka")
	var mine atomic.Bool
	mine.Store(true)
	options.Leads = func(context.Context) (bool, error) { return mine.Load(), nil }
	old, _ := open(t, options)
	put(t, old, topic("orders"))
	mine.Store(false)
	now, _ := open(t, s.options("kafka"))
	put(t, now, topic("payments"))
	for range 2 { // for good
		if err := old.Store(t.Context(), []record.Change{gone("orders")}); !errors.Is(err, record.ErrFenced) {
			t.Errorf("a store of the old process: %v", err)
		}
		mine.Store(true)
	}
	if _, state := open(t, s.options("kafka")); !cmp.Equal(entriesOf(topic("orders"), topic("payments")), state.Entries) {
		t.Errorf("the record is %v", state.Entries)
	}
}

// Somebody edits or deletes the ConfigMap by hand: memory is written again.
func TestRecordIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(context.Context, client.Client, *corev1.ConfigMap) error{
		"edited": func(ctx context.Context, c client.Client, log *corev1.ConfigMap) error {
			log.Data["log"] = ""
			return c.Update(ctx, log)
		},
		"deleted": func(ctx context.Context, c client.Client, log *corev1.ConfigMap) error { return c.Delete(ctx, log) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			book, _ := open(t, s.options("kafka"))
			put(t, book, topic("orders"))
			var all corev1.ConfigMapList
			if err := s.client.List(t.Context(), &all, client.InNamespace(s.namespace)); err != nil {
				t.Fatal(err)
			}
			for i := range all.Items {
				if all.Items[i].Data["cluster"] == "kafka" {
					if err := harm(t.Context(), s.client, &all.Items[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
			put(t, book, topic("payments"))
			put(t, book, topic("refunds"))
			if _, state := open(t, s.options("kafka")); !cmp.Equal(entriesOf(topic("orders"), topic("payments"), topic("refunds")), state.Entries) {
				t.Errorf("the record is %v", state.Entries)
			}
		})
	}
}

// large is so much that the log is full with it.
func large(name string) record.Change {
	change := topic(name)
	change.Entry.ID = strings.Repeat("x", 140_000)
	return change
}

// A process that has lost the lease does not touch what its successor stores,
// whatever it was about to write.
func TestAFencedFoldHarmsNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	options := s.options("kafka")
	options.Leads = func(context.Context) (bool, error) { return false, nil }
	old, _ := open(t, options)
	put(t, old, topic("seed"))
	now, _ := open(t, s.options("kafka"))
	put(t, now, large("new"))
	if err := old.Store(t.Context(), []record.Change{large("old")}); !errors.Is(err, record.ErrFenced) {
		t.Errorf("got %v", err)
	}
	if _, state := open(t, s.options("kafka")); !cmp.Equal(entriesOf(topic("seed"), large("new")), state.Entries) {
		t.Errorf("the record has %d entries", len(state.Entries))
	}
}

// A successor reads the record while the old process folds: the log that would
// name the old one's parts is not written any more.
func TestLoadedDuringAFold(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	options := s.options("kafka")
	options.Leads = func(context.Context) (bool, error) { return false, nil }
	parted, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	options.Client = interceptor.NewClient(s.client, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
			if obj.(*corev1.ConfigMap).Data["base"] != "" {
				once.Do(func() { close(parted); <-goOn })
			}
			return c.Update(ctx, obj, o...)
		},
	})
	old, _ := open(t, options)
	put(t, old, topic("seed"))
	result := make(chan error, 1)
	go func() { result <- old.Store(context.Background(), []record.Change{large("old")}) }()
	<-parted
	now, _ := open(t, s.options("kafka"))
	close(goOn)
	if err := <-result; !errors.Is(err, record.ErrFenced) {
		t.Errorf("got %v", err)
	}
	put(t, now, topic("new"))
	if _, state := open(t, s.options("kafka")); !cmp.Equal(entriesOf(topic("seed"), topic("new")), state.Entries) {
		t.Errorf("the record has %d entries", len(state.Entries))
	}
}

// An answer that is lost, or a log that is deleted, while the log is full.
func TestFullLogIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(ctx context.Context, c client.Client, log *corev1.ConfigMap) error{
		"the answer is lost": func(ctx context.Context, c client.Client, log *corev1.ConfigMap) error {
			if err := c.Update(ctx, log); err != nil {
				return err
			}
			return errCrash
		},
		"it is deleted": func(ctx context.Context, c client.Client, log *corev1.ConfigMap) error {
			if err := c.Delete(ctx, log.DeepCopy()); err != nil {
				return err
			}
			return c.Update(ctx, log)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			options := s.options("kafka")
			var harmed atomic.Bool
			options.Client = interceptor.NewClient(s.client, interceptor.Funcs{
				Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
					if log := obj.(*corev1.ConfigMap); log.Data["base"] != "" && harmed.CompareAndSwap(false, true) {
						return harm(ctx, c, log)
					}
					return c.Update(ctx, obj, o...)
				},
			})
			book, _ := open(t, options)
			put(t, book, topic("seed"))
			first := book.Store(t.Context(), []record.Change{large("a")})
			put(t, book, large("b"))
			put(t, book, topic("c"))
			_, state := open(t, s.options("kafka"))
			want := entriesOf(topic("seed"), large("b"), topic("c"))
			if first == nil {
				want = entriesOf(topic("seed"), large("a"), large("b"), topic("c"))
			}
			if !cmp.Equal(want, state.Entries) {
				t.Errorf("the first store said %v, and the record has %d entries", first, len(state.Entries))
			}
		})
	}
}

// A change that cannot be written is its caller's fault alone.
func TestOneBadChange(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	book, _ := open(t, s.options("kafka"))
	bad := record.Change{Key: record.Key{Kind: record.Topic}, Entry: &record.Entry{Phase: record.Held}}
	if err := book.Later(bad); err == nil {
		t.Error("a change without a name is taken")
	}
	if err := book.Store(t.Context(), []record.Change{bad}); err == nil || !strings.Contains(err.Error(), "the name is empty") {
		t.Errorf("got %v", err)
	}
	put(t, book, topic("orders"))
}

// What cannot be read stops everything, and says what it is.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for key, test := range map[string]struct{ value, want string }{
		"log":     {"nonsense\n", "line 1: "},
		"base":    {"one", `"one" is not the name of a part and its digest`},
		"cluster": {"another", `it is of the Kafka cluster "another", whose record is ConfigMap weir-record-`},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			book, _ := open(t, s.options("kafka"))
			put(t, book, topic("orders"))
			var all corev1.ConfigMapList
			if err := s.client.List(t.Context(), &all, client.InNamespace(s.namespace)); err != nil {
				t.Fatal(err)
			}
			for i := range all.Items {
				if log := &all.Items[i]; log.Data["cluster"] == "kafka" {
					log.Data[key] = test.value
					if err := s.client.Update(t.Context(), log); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, err := record.Open(s.options("kafka")).Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "restore it from a backup") {
				t.Errorf("got %v, want …%s…", err, test.want)
			}
		})
	}
}

// Stores that come while another is under way go with one request.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	var writes atomic.Int64
	begun, release := make(chan struct{}), make(chan struct{})
	options := s.options("kafka")
	options.Client = interceptor.NewClient(s.client, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
			if writes.Add(1) == 1 {
				close(begun)
				<-release
			}
			return c.Update(ctx, obj, o...)
		},
	})
	book, _ := open(t, options)
	put(t, book, topic("first")) // a creation
	var stores sync.WaitGroup
	store := func(name string) {
		stores.Go(func() {
			if err := book.Store(t.Context(), []record.Change{topic(name)}); err != nil {
				t.Error(err)
			}
		})
	}
	store("second")
	<-begun
	for i := range 20 {
		store(fmt.Sprint("more-", i))
	}
	env.Until(t, "the stores to wait", func() bool { return record.Waiting(book) == 20 })
	close(release)
	stores.Wait()
	if n := writes.Load(); n != 2 {
		t.Errorf("21 stores made %d updates, want 2", n)
	}
}

// A part that was written before the first log goes, as any that no log names.
func TestNothingIsLeftOfACrashBeforeTheFirstLog(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	options := s.options("first")
	options.Client = (&mortal{left: 2}).client(s.client)
	book := record.Open(options)
	t.Cleanup(book.Close)
	if _, err := book.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	large := topic("large")
	large.Entry.ID = strings.Repeat("x", 200_000) // so that it folds
	if err := book.Store(t.Context(), []record.Change{large}); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if _, here := s.parts(t); len(here) != 1 {
		t.Fatalf("the crash left %v", here)
	}
	_, state := open(t, s.options("first"))
	if named, here := s.parts(t); len(here) > 0 || len(named) > 0 || len(state.Entries) > 0 {
		t.Errorf("there is still %v, of %v", here, named)
	}
}

var errCrash = errors.New("the process is gone")

// mortal is a client that dies at its n-th write: before it is made, or after.
type mortal struct {
	left  int
	after bool
}

func (m *mortal) write(do func() error) error {
	m.left--
	switch {
	case m.left > 0:
		return do()
	case m.left == 0 && m.after:
		_ = do() // nobody learns how it ended
	}
	return errCrash
}

func (m *mortal) client(to client.WithWatch) client.Client {
	return interceptor.NewClient(to, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			return m.write(func() error { return c.Create(ctx, obj, o...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
			return m.write(func() error { return c.Update(ctx, obj, o...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			return m.write(func() error { return c.Delete(ctx, obj, o...) })
		},
	})
}

// Whatever is stored, folded, cut short between any two requests and read again:
// the record is what was stored, and of the store that was cut short all or
// nothing.
func TestAnyCrash(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	var runs atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		cluster := fmt.Sprint("kafka-", runs.Add(1))
		stored := map[record.Key]record.Entry{}
		for range rapid.IntRange(1, 4).Draw(rt, "processes") {
			death := &mortal{left: rapid.IntRange(1, 8).Draw(rt, "writes"), after: rapid.Bool().Draw(rt, "after")}
			options := s.options(cluster)
			options.Client = death.client(s.client)
			book := record.Open(options)
			state, err := book.Load(t.Context())
			if err == nil && !cmp.Equal(stored, state.Entries) {
				rt.Fatalf("loaded (-want +got):\n%s", cmp.Diff(stored, state.Entries))
			}
			for err == nil {
				var changes []record.Change
				for range rapid.IntRange(1, 3).Draw(rt, "changes") {
					change := topic(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "name"))
					change.Entry.ID = strings.Repeat("x", rapid.SampledFrom([]int{1, 60_000}).Draw(rt, "size")) // so that it folds
					if rapid.Bool().Draw(rt, "gone") {
						change.Entry = nil
					}
					changes = append(changes, change)
				}
				next := maps.Clone(stored)
				for _, change := range changes {
					if change.Entry == nil {
						delete(next, change.Key)
					} else {
						next[change.Key] = *change.Entry
					}
				}
				if err = book.Store(t.Context(), changes); err == nil {
					stored = next
					continue
				}
				after, loadErr := record.Open(s.options(cluster)).Load(t.Context())
				switch {
				case loadErr != nil:
					rt.Fatal(loadErr)
				case cmp.Equal(next, after.Entries):
					stored = next
				case !cmp.Equal(stored, after.Entries):
					rt.Fatalf("after a crash it is neither what was stored nor what was to be: %d entries", len(after.Entries))
				}
			}
			book.Close()
		}
		_, err := record.Open(s.options(cluster)).Load(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		named, here := s.parts(rt)
		if diff := cmp.Diff(named, here); diff != "" {
			rt.Fatalf("the parts that are there are not those that the log names (-named +there):\n%s", diff)
		}
		if err := s.client.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(s.namespace)); err != nil {
			rt.Fatal(err)
		}
	})
}

// parts are the names of a record's parts, those that its log names and those that
// are there, sorted. It is the only record.
func (s shelf) parts(t interface{ Fatal(...any) }) (named, here []string) {
	var all corev1.ConfigMapList
	if err := s.client.List(context.Background(), &all, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	for _, one := range all.Items {
		if one.BinaryData != nil {
			here = append(here, one.Name)
		}
		for line := range strings.Lines(one.Data["base"]) {
			name, _, _ := strings.Cut(line, " ")
			named = append(named, name)
		}
	}
	slices.Sort(named)
	slices.Sort(here)
	return named, here
}

// What is recorded is written a layer at a time, and anew once there are many.
func TestLayers(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	book := record.Open(s.options("layers"))
	if _, err := book.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := map[record.Key]record.Entry{}
	layers := map[int]bool{}
	for i := range 80 {
		change := topic(fmt.Sprint("topic-", i%50))
		change.Entry.ID = strings.Repeat("x", 100_000)
		stored[change.Key] = *change.Entry
		changes := []record.Change{change}
		if gone := topic(fmt.Sprint("topic-", (i+25)%50)).Key; i%3 == 0 {
			changes = append(changes, record.Change{Key: gone})
			delete(stored, gone)
		}
		if err := book.Store(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		named, here := s.parts(t)
		if diff := cmp.Diff(named, here); diff != "" {
			t.Fatalf("the parts that are there are not those that the log names (-named +there):\n%s", diff)
		}
		layers[len(named)] = true
	}
	book.Close()
	if !layers[32] || layers[34] {
		t.Errorf("so many layers there were: %v, want 32 before the base is written anew", slices.Sorted(maps.Keys(layers)))
	}
	state, err := record.Open(s.options("layers")).Load(t.Context())
	if diff := cmp.Diff(stored, state.Entries); err != nil || diff != "" {
		t.Errorf("loaded: %v (-want +got):\n%s", err, diff)
	}
}
