package grants

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Cluster is what a Writer asks of Kafka. Each call has a deadline of its own.
type Cluster interface {
	// Bindings are all bindings of the cluster.
	Bindings(context.Context) (map[kafka.Binding]struct{}, error)
	// Denials are those that deny, in the form of those that allow.
	Denials(context.Context) (map[kafka.Binding]struct{}, error)
	// CreateBindings and DeleteBindings return one outcome a binding, in their
	// order; what is so already is success.
	CreateBindings(context.Context, []kafka.Binding) []error
	DeleteBindings(context.Context, []kafka.Binding) []error
}

// Options are what a Writer works with.
type Options struct {
	Cluster Cluster
	Record  record.Record
	// Entries are what the record lists when the writer begins.
	Entries map[record.Key]record.Entry
	// Expected are the resources that have to declare what they want, or to be
	// said to be gone, before anything counts as absent.
	Expected []record.Ref
	// Resync is the time between two looks at all bindings.
	Resync time.Duration
	// Wake is called, outside of all locks, with each resource whose State has
	// changed. It must not block.
	Wake func(record.Ref)
	// Corrected is told of bindings that somebody else had removed, and that are
	// there again, for each resource that wants it. It must not block. Nil means
	// that nobody asks.
	Corrected func(record.Ref, kafka.Binding)
	// Fatal is told that another process holds the lease: this one must end.
	Fatal func(error)
	// Rebuilt: the record was lost. What is there when the expected resources
	// have declared it counts as made by Weir.
	Rebuilt bool
	Settings
}

// Settings are what the platform decides, and may decide anew.
type Settings struct {
	// Additive: nothing is removed, as where another Kubernetes cluster wrote the
	// record.
	Additive bool
	// Take makes what was found Weir's.
	Take bool
	// Agreed is the digest of removals that the brake holds and that may go.
	Agreed string
	// Suspended: no request is made.
	Suspended bool
}

const (
	// firstPause and longestPause bound the backoff after a round that failed.
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
	// contestedAt is how often somebody else must remove a binding of ours.
	contestedAt = 3
	// brokersLag is how long brokers may not show what the controller of the
	// cluster has done: under KRaft each follows its log by itself.
	brokersLag = 5 * time.Second
)

// Writer makes the ACL bindings of one cluster follow what resources want. It is
// the only one that writes them. Resources declare; one goroutine plans for all
// of them together, stores what it is about to do, adds, and then removes. What
// is declared while a request is under way is the next round's. Safe for
// concurrent use. Close ends it.
type Writer struct {
	options Options

	kick   chan struct{} // holds one: something was declared
	cancel context.CancelFunc
	done   chan struct{}

	mu         sync.Mutex
	declared   *Declared
	ours       map[kafka.Binding]record.Entry
	have       map[kafka.Binding]struct{} // nil before the first look
	denials    map[kafka.Binding]struct{}
	refused    map[kafka.Binding]error
	removals   map[kafka.Binding]int // by somebody else, of a binding of ours
	disabled   time.Time             // since when there is no authorizer; zero while there is one
	braked     []time.Time           // when removals under the brake were made
	settings   Settings
	rebuilding bool // the record was lost, and not all expected have declared
	held       *Held
	trouble    error
	ended      chan struct{}           // closes when a round has ended; then there is another
	touched    map[record.Ref]struct{} // whose state may have changed
	told       map[record.Ref]State
	awaited    map[record.Ref]int       // who is told by Await, and need not be woken
	recent     map[kafka.Binding]recent // what was added or removed just now
	lookAgain  time.Time                // when the brokers must show it; zero where they do
}

// recent is a binding that Kafka has said is added, or removed.
type recent struct {
	at    time.Time
	there bool
}

// New starts a writer.
func New(options Options) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		options: options, kick: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
		declared: NewDeclared(options.Expected),
		ours:     map[kafka.Binding]record.Entry{},
		refused:  map[kafka.Binding]error{},
		removals: map[kafka.Binding]int{},
		touched:  map[record.Ref]struct{}{},
		told:     map[record.Ref]State{},
		awaited:  map[record.Ref]int{},
		recent:   map[kafka.Binding]recent{},
		settings: options.Settings, rebuilding: options.Rebuilt, ended: make(chan struct{}),
	}
	for key, entry := range options.Entries {
		if key.Kind != record.Binding {
			continue
		}
		// One that cannot be read is never touched, and never forgotten.
		if binding, err := kafka.ParseBinding(key.Name); err == nil {
			w.ours[binding] = entry
		}
	}
	go w.run(ctx)
	return w
}

// Close ends the round that is under way, and waits for it.
func (w *Writer) Close() {
	w.cancel()
	<-w.done
}

// Declare replaces what a resource wants. Cause is why it lets go of what is no
// longer among it.
func (w *Writer) Declare(owner record.Ref, wants Wants, cause Cause) {
	w.mu.Lock()
	same := w.declared.Has(owner, wants)
	if !w.declared.Knows(owner) && len(wants) == 0 && w.declared.Complete() {
		w.declared.Declare(owner, wants, cause)
		same = true
	}
	w.mu.Unlock()
	if same {
		return // nothing to plan anew
	}
	w.change(func() {
		w.declared.Declare(owner, wants, cause)
		w.touched[owner] = struct{}{}
	})
}

// Gone says that a resource is not there any more, and why.
func (w *Writer) Gone(owner record.Ref, cause Cause) {
	w.change(func() {
		w.declared.Gone(owner, cause)
		delete(w.told, owner)
		delete(w.touched, owner)
	})
}

// Set changes the settings.
func (w *Writer) Set(settings Settings) {
	w.mu.Lock()
	same := w.settings == settings
	w.mu.Unlock()
	if !same {
		w.change(func() { w.settings = settings })
	}
}

// Sweep looks at all bindings at once, and not only after the resync interval.
func (w *Writer) Sweep() { w.change(func() { w.have = nil }) }

func (w *Writer) change(do func()) {
	w.mu.Lock()
	do()
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default: // it is awake
	}
}

// Await is State, once the writer has done what is due for a resource, or when
// ctx ends. A resource is not woken for what it has been told so.
func (w *Writer) Await(ctx context.Context, owner record.Ref) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited[owner]++
	for {
		state, ended := w.state(owner), w.ended
		if state.Phase != Unknown && state.Phase != Pending || state.Why != nil || ctx.Err() != nil {
			if w.declared.Knows(owner) {
				w.told[owner] = state
			}
			if w.awaited[owner]--; w.awaited[owner] == 0 {
				delete(w.awaited, owner)
			}
			return state
		}
		w.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		w.mu.Lock()
	}
}

// State is what a resource's bindings are like.
func (w *Writer) State(owner record.Ref) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state(owner)
}

func (w *Writer) state(owner record.Ref) State {
	wants := w.declared.owners[owner]
	switch {
	case !w.declared.Knows(owner) || w.have == nil && w.disabled.IsZero():
		return State{Phase: Unknown, Why: w.trouble}
	case !w.disabled.IsZero() && time.Since(w.disabled) >= w.options.Resync:
		return State{Phase: Disabled}
	}
	state := State{Phase: Enforced}
	for _, one := range wants {
		binding := one.binding
		if one.want != Grant {
			continue
		}
		if why := w.refused[binding]; why != nil {
			return State{Phase: Refused, Why: why, Binding: binding}
		}
		if _, there := w.have[binding]; !there {
			state = State{Phase: Pending, Why: w.trouble}
		} else if w.removals[binding] >= contestedAt && state.Phase == Enforced {
			state = State{Phase: Contested, Binding: binding}
		}
	}
	if state.Phase == Enforced {
		return w.denied(wants)
	}
	return state
}

// denied is Denied where a binding that denies defeats one of these, and else
// Enforced. The lock is held.
func (w *Writer) denied(wants wishes) State {
	found := State{Phase: Enforced}
	for denial := range w.denials {
		for _, one := range wants {
			if one.want == Grant && defeats(denial, one.binding) && (found.Phase == Enforced || denial.String() < found.Binding.String()) {
				found = State{Phase: Denied, Binding: denial}
			}
		}
	}
	return found
}

// Report says how the work goes.
func (w *Writer) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	report := Report{Bindings: len(w.ours), Held: w.held, Waiting: w.declared.Waiting(), Rebuilding: w.rebuilding, Trouble: w.trouble}
	for _, entry := range w.ours {
		if entry.Phase == record.Leaving {
			report.Leaving++
			report.Since = sooner(report.Since, entry.Since)
		}
	}
	return report
}

// wakeTouched tells the resources whose state has changed.
func (w *Writer) wakeTouched() {
	var changed []record.Ref
	w.mu.Lock()
	for owner := range w.touched {
		if now := w.state(owner); !now.same(w.told[owner]) && w.awaited[owner] == 0 {
			w.told[owner] = now
			changed = append(changed, owner)
		}
	}
	clear(w.touched)
	w.mu.Unlock()
	slices.SortFunc(changed, compareRefs)
	for _, owner := range changed {
		w.options.Wake(owner)
	}
}
