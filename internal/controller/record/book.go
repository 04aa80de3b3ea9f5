package record

import (
	"context"
	"iter"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// storeTimeout bounds one store. It is well below the lease's duration, so
	// that a process that has lost the lease while it was stopped does not write
	// for long.
	storeTimeout = 5 * time.Second
	// laterPause is how long what need not be stored at once waits for company.
	laterPause = time.Second
	// storePause is from one store to the next while there is more to store.
	storePause = 50 * time.Millisecond
)

// Options say where a record is, and who writes it.
type Options struct {
	// Client reads and writes past every cache.
	Client client.Client
	// Namespace is the operator's.
	Namespace string
	// ClusterID is the ID of the Kafka cluster.
	ClusterID string
	// Writer identifies this Kubernetes cluster: the UID of its kube-system
	// namespace.
	Writer string
	// Leads says whether this process holds the lease, as the API server has it.
	// It is asked where somebody else has written the record.
	Leads func(context.Context) (bool, error)
	// Had says that there was a record: where there is none now, it is lost.
	Had bool
}

// Book is a Record in ConfigMaps of the operator's namespace: one small log that
// every store writes, and whose resource version is the fence, and the parts of a
// base: the log becomes another layer of it when it has grown, and now and then
// all layers become one. Load must return before anything is stored. Close ends it.
type Book struct {
	options Options

	storing sync.Mutex // held by whoever reads or writes the ConfigMaps
	log     *corev1.ConfigMap
	parts   []part
	layers  int   // of the base: no more than parts
	lost    bool  // it was lost, and is being rebuilt
	fenced  error // why nothing is stored any more

	mu      sync.Mutex
	entries map[Key]Entry
	waiting []store
	later   []Change
	timer   *time.Timer
	running bool
	closed  bool
	work    sync.WaitGroup
}

var _ Record = (*Book)(nil)

// store is a call of Store that waits.
type store struct {
	changes []Change
	done    chan error // buffered: nobody may be listening any more
}

// Open returns a book that is not loaded yet.
func Open(options Options) *Book {
	return &Book{options: options, entries: map[Key]Entry{}}
}

// Entry returns what is stored of a key. The caller changes nothing in it.
func (b *Book) Entry(key Key) (Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry, ok := b.entries[key]
	return entry, ok
}

// Entries are all that is stored, as it is when the iteration begins, in no
// order.
func (b *Book) Entries() iter.Seq2[Key, Entry] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.All(maps.Clone(b.entries))
}

// Store implements Record.
func (b *Book) Store(ctx context.Context, changes []Change) error {
	changes, err := copied(changes)
	if err != nil {
		return err
	}
	one := store{changes: changes, done: make(chan error, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	b.waiting = append(b.waiting, one)
	b.begin()
	b.mu.Unlock()
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return ctx.Err() // it may still be stored
	}
}

// copied is changes that can be written, without what the caller may change. One
// that cannot is its caller's fault alone.
func copied(changes []Change) ([]Change, error) {
	own := make([]Change, len(changes))
	for i, change := range changes {
		if _, err := appendChange(nil, change); err != nil {
			return nil, err
		}
		if own[i] = change; change.Entry != nil {
			entry := *change.Entry
			entry.Set = maps.Clone(entry.Set)
			if entry.Lane != nil {
				lane := *entry.Lane
				entry.Lane = &lane
			}
			own[i].Entry = &entry
		}
	}
	return own, nil
}

// Later stores changes whose loss in a crash would do no harm: with the next
// store, or after a moment together with others. Where that fails they are tried
// again with the next, or lost with the process. The error is about a change
// that cannot be written.
func (b *Book) Later(changes ...Change) error {
	changes, err := copied(changes)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.later = append(b.later, changes...)
	if b.timer == nil {
		b.timer = time.AfterFunc(laterPause, b.storeLater)
	}
	return nil
}

func (b *Book) storeLater() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = nil
	if !b.closed && len(b.later) > 0 {
		b.begin()
	}
}

// begin starts the work where none is under way. The lock is held.
func (b *Book) begin() {
	if !b.running {
		b.running = true
		b.work.Go(b.run)
	}
}

// run stores what waits, all of it in one request, until nothing does.
func (b *Book) run() {
	var wrote time.Time
	for {
		// In a storm, more goes into one: each store writes the whole log.
		if !wrote.IsZero() {
			time.Sleep(storePause - time.Since(wrote))
		}
		b.mu.Lock()
		waiting, changes := b.waiting, b.later
		b.waiting, b.later = nil, nil
		if len(waiting) == 0 && len(changes) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		late := len(changes)
		for _, one := range waiting {
			changes = append(changes, one.changes...)
		}
		err := b.write(changes)
		wrote = time.Now()
		for _, one := range waiting {
			one.done <- err
		}
		if err != nil && late > 0 {
			b.mu.Lock()
			b.later = append(changes[:late:late], b.later...)
			retry := len(b.waiting) == 0
			b.running = b.running && !retry
			if retry && b.timer == nil && !b.closed {
				b.timer = time.AfterFunc(laterPause, b.storeLater)
			}
			b.mu.Unlock()
			if retry {
				return
			}
		}
	}
}

// Close stores what waits, and refuses what comes.
func (b *Book) Close() {
	b.mu.Lock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	if len(b.later) > 0 {
		b.begin()
	}
	b.mu.Unlock()
	b.work.Wait()
}
