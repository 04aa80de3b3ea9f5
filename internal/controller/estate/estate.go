package estate

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
)

// Estate is what Weir has on one Kafka cluster. Safe for concurrent use.
type Estate struct {
	// ID is the Kafka cluster's.
	ID string

	book  *record.Book
	names *names.Book
	// writer makes the ACL bindings follow.
	writer *grants.Writer
	wake   func(record.Ref)
	// stored makes a halt of what could not be stored, and ends the process where
	// another one leads.
	stored func(error) error
	// elsewhere is who wrote the record, where that is another Kubernetes cluster.
	elsewhere string
	// rebuilt are the resources that were there when the record was found to be
	// lost: what they declare was made by Weir.
	rebuilt    map[record.Ref]struct{}
	allowances allowances

	mu      sync.Mutex
	entries map[record.Key]record.Entry // topics and groups, also what is only about to be stored
	held    map[record.Ref]map[record.Key]struct{}
	// recovered: the record is not marked as lost any more.
	recovered bool
	versions  map[record.Ref]string // of resources, when they declared their wants
	lanes     lanes
}

// Entry is what the record has of a topic or a group.
func (e *Estate) Entry(key record.Key) (record.Entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry, ok := e.entries[key]
	return entry, ok
}

// Entries are those topics and groups of the record that pass. It must not use the
// Estate.
func (e *Estate) Entries(pass func(record.Key, record.Entry) bool) map[record.Key]record.Entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	passed := map[record.Key]record.Entry{}
	for key, entry := range e.entries {
		if pass(key, entry) {
			passed[key] = entry
		}
	}
	return passed
}

// Holds is the name of a kind that the record has for a resource; empty where it
// has none.
func (e *Estate) Holds(ref record.Ref, kind record.Kind) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []string
	for key := range e.held[ref] {
		if key.Kind == kind {
			found = append(found, key.Name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// Note puts what is so already into the record, within a second: its loss in a
// crash would do no harm. Nil takes the entry out.
func (e *Estate) Note(key record.Key, entry *record.Entry) error {
	now, known := e.Entry(key)
	if entry == nil && !known || entry != nil && known && same(now, *entry) {
		return nil
	}
	if err := e.book.Later(record.Change{Key: key, Entry: entry}); err != nil {
		return err
	}
	e.keep(key, entry)
	return nil
}

// Store puts what is about to be done into the record, and is done when it
// returns nil. Errors are halts.
func (e *Estate) Store(ctx context.Context, key record.Key, entry record.Entry) error {
	if now, known := e.Entry(key); known && same(now, entry) {
		return nil
	}
	return e.storeNow(ctx, key, entry)
}

// storeNow is Store also where the record says so already: an earlier process may
// have written that, and this one is to know that it still leads.
func (e *Estate) storeNow(ctx context.Context, key record.Key, entry record.Entry) error {
	if err := e.stored(e.book.Store(ctx, []record.Change{{Key: key, Entry: &entry}})); err != nil {
		return err
	}
	e.keep(key, &entry)
	return nil
}

func same(a, b record.Entry) bool {
	sameLane := a.Lane == nil && b.Lane == nil || a.Lane != nil && b.Lane != nil && *a.Lane == *b.Lane
	return a.Phase == b.Phase && a.Found == b.Found && a.Holder == b.Holder && a.Since.Equal(b.Since) &&
		a.Cause == b.Cause && a.ID == b.ID && maps.Equal(a.Set, b.Set) && sameLane
}

// keep makes an entry what this process goes by.
func (e *Estate) keep(key record.Key, entry *record.Entry) {
	e.mu.Lock()
	e.put(key, entry)
	e.mu.Unlock()
	if entry != nil {
		e.grantDrain(key, *entry)
	} else {
		e.grantDrain(key, record.Entry{})
	}
	for _, ref := range e.names.Hold(key, entry) {
		if entry == nil || ref != entry.Holder { // its own pass says so
			e.wake(ref)
		}
	}
}

func (e *Estate) put(key record.Key, entry *record.Entry) {
	if was, known := e.entries[key]; known {
		delete(e.held[was.Holder], key)
		if len(e.held[was.Holder]) == 0 {
			delete(e.held, was.Holder)
		}
		delete(e.entries, key)
	}
	if entry == nil {
		return
	}
	e.entries[key] = *entry
	if e.held[entry.Holder] == nil {
		e.held[entry.Holder] = map[record.Key]struct{}{}
	}
	e.held[entry.Holder][key] = struct{}{}
}

// Claim says what a resource wants to name, in the place of what it said before.
func (e *Estate) Claim(claim names.Claim) { e.wakeAll(e.names.Put(claim)) }

// Verdict judges the names that a resource claims. exists says whether a topic
// is in Kafka; it is asked for dead letter topics that the record does not have.
func (e *Estate) Verdict(ref record.Ref, exists func(record.Key) bool) names.Verdict {
	verdict, _ := e.names.Verdict(ref, exists)
	return verdict
}

// Use judges a name or a prefix that a resource grants rights on.
func (e *Estate) Use(ref record.Ref, use record.Key) names.Verdict { return e.names.Use(ref, use) }

// Declare says what a resource wants to be granted, in the place of what it
// said before. Its version changes with what the resource itself decides, such as
// its generation: while it is the same, what the resource lets go is the
// consequence of another object's change.
func (e *Estate) Declare(ref record.Ref, version string, wants grants.Wants) {
	e.mu.Lock()
	before, known := e.versions[ref]
	e.versions[ref] = version
	e.mu.Unlock()
	cause := grants.Consequence
	if known && before != version {
		cause = grants.Asked
	}
	e.writer.Declare(ref, wants, cause)
}

// VersionOf is the generation of a resource, for Declare.
func VersionOf(obj client.Object) string { return strconv.FormatInt(obj.GetGeneration(), 10) }

// Leave takes back what a resource claims and wants, which the KafkaCluster does
// not admit any more.
func (e *Estate) Leave(ref record.Ref) {
	e.wakeAll(e.names.Drop(ref))
	e.writer.Declare(ref, nil, grants.Consequence)
}

// Gone takes back what a resource claimed and wanted that is not there any more.
// The lane of a group that somebody deleted is drained.
func (e *Estate) Gone(ref record.Ref, cause grants.Cause) error {
	e.mu.Lock()
	delete(e.versions, ref)
	e.mu.Unlock()
	// Nobody will read the retry topic of a group that was deleted.
	var err error
	if group := e.Holds(ref, record.Group); group != "" && cause == grants.Asked {
		err = e.Drain(record.Key{Kind: record.Group, Name: group}, record.ToDeadLetters)
	}
	e.allowances.forget(ref.Namespace)
	e.wakeAll(e.names.Drop(ref))
	e.writer.Gone(ref, cause)
	return err
}

func (e *Estate) wakeAll(refs []record.Ref) {
	for _, ref := range refs {
		e.wake(ref)
	}
}

// awaitGrants is how long a pass waits for the writer: about one request's time,
// so that most passes write status once.
const awaitGrants = 2 * time.Second

// State is how far the grants of a resource are, once the writer has done what is
// due for it, or after a moment.
func (e *Estate) State(ctx context.Context, ref record.Ref) grants.State {
	ctx, cancel := context.WithTimeout(ctx, awaitGrants)
	defer cancel()
	return e.writer.Await(ctx, ref)
}

// Topics is how many topics the record has for Topics that are there, and Owed
// how many are still to be deleted.
func (e *Estate) Topics() (held, owed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, entry := range e.entries {
		switch {
		case key.Kind != record.Topic:
		case entry.Phase == record.Leaving:
			owed++
		case e.names.Claimed(entry.Holder):
			held++
		}
	}
	return held, owed
}

// Report says how the grants of all resources are.
func (e *Estate) Report() grants.Report { return e.writer.Report() }

// Set changes what the platform decides.
func (e *Estate) Set(settings grants.Settings) {
	settings.Additive = settings.Additive || e.Elsewhere() != ""
	e.writer.Set(settings)
}

// Sweep looks at all bindings of the cluster anew.
func (e *Estate) Sweep() { e.writer.Sweep() }

// Elsewhere is the UID of the kube-system namespace of the Kubernetes cluster
// that wrote the record, where that is another one: then nothing is removed or
// deleted.
func (e *Estate) Elsewhere() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.elsewhere
}

// Take takes the record over from another Kubernetes cluster. Errors are halts.
func (e *Estate) Take(ctx context.Context) error {
	if err := e.stored(e.book.Agree(ctx)); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.elsewhere = ""
	return nil
}

// close ends the writer and stores what waits.
func (e *Estate) close() {
	e.writer.Close()
	e.book.Close()
}

// topicKey is a topic as a record's key.
func topicKey(name string) record.Key { return record.Key{Kind: record.Topic, Name: name} }
