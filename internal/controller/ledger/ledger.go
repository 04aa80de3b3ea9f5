// Package ledger makes the ACL bindings of a cluster follow what all resources
// on it need, and knows which of them Weir has made. No other package adds or
// removes bindings.
package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/kafka"
)

// Ledger says, for every ACL binding of every cluster, which resources need it
// and which have it in their status as made by Weir. It is what makes bindings
// reference-counted without asking the API server. Passes over several
// resources may be under way at once, and it orders what they do to one binding:
//
//   - Two resources that drop the same binding at once are told apart: the
//     second to come knows what the first has decided.
//   - A resource that lets go of a binding because another one answers for it
//     does so only after that one's status lists it.
//   - A resource that needs a binding which another one is removing waits until
//     it is gone, and then makes it anew.
//
// A cluster's book is filled from the cache at the first question about it,
// since a manager that has just started has not reconciled anybody yet. Safe
// for concurrent use.
type Ledger struct {
	reader client.Reader
	// fresh is how old a view of a cluster may be to be relied on.
	fresh time.Duration

	mu    sync.Mutex
	books map[string]*book // by KafkaCluster name
}

// book is the ledger of one cluster.
type book struct {
	owners map[types.UID]entry
	// How many owners need a binding and have recorded it: the sums of owners.
	needed, recorded counts
	// removing holds the bindings that are being taken back.
	removing map[kafka.Binding]*removal
	view     bindingsView
}

// removal is the taking back of one binding, by one or more owners at once.
type removal struct {
	by   int
	over chan struct{} // closes when the last of them is done
}

// entry is what one resource needs, and what its status lists for certain.
type entry struct {
	want, recorded bindings
}

type (
	bindings map[kafka.Binding]struct{}
	counts   map[kafka.Binding]int
)

func newLedger(reader client.Reader, fresh time.Duration) *Ledger {
	return &Ledger{reader: reader, fresh: fresh, books: map[string]*book{}}
}

// pledge is a plan that is being carried out for one resource. It must be ended
// by finish.
type pledge struct {
	kafka.BindingPlan
	// certain: status lists what it must before anything is carried out.
	certain bool
	ledger  *Ledger
	book    *book
	owner   types.UID
}

// plan enters what owner needs on a cluster and plans what follows. It returns
// nil where the view of the cluster may be wrong and must be fetched first.
// Unless sure, which says that it has just been fetched, that includes a view
// that is old, or shows a difference.
func (l *Ledger) plan(ctx context.Context, cluster string, connection *kafka.Cluster, owner client.Object, want []kafka.Binding, sure bool) (*pledge, error) {
	listed, err := parseBindings(*managedBindings(owner))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.book(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if err := l.awaitRemovals(ctx, book, want); err != nil {
		return nil, err
	}

	mine, known := book.owners[owner.GetUID()]
	mine.want = bindingSet(want)
	if !known { // otherwise the cache may be behind what this manager has written last
		mine.recorded = bindingSet(listed)
	}
	book.set(owner.GetUID(), mine)

	plan := kafka.PlanBindings(book.question(mine))
	differs := len(plan.Add)+len(plan.Remove) > 0
	if !book.view.of(connection) || !sure && (differs || book.view.older(l.fresh)) {
		return nil, nil
	}
	record := bindingSet(plan.Record)
	mine.recorded = intersection(mine.recorded, record)
	certain := len(mine.recorded) == len(record)
	book.set(owner.GetUID(), mine)
	for _, binding := range plan.Remove {
		if book.removing[binding] == nil {
			book.removing[binding] = &removal{over: make(chan struct{})}
		}
		book.removing[binding].by++
	}
	return &pledge{BindingPlan: plan, certain: certain, ledger: l, book: book, owner: owner.GetUID()}, nil
}

// awaitRemovals waits, with the lock released, while somebody removes one of
// the bindings.
func (l *Ledger) awaitRemovals(ctx context.Context, book *book, want []kafka.Binding) error {
	for _, binding := range want {
		for one := book.removing[binding]; one != nil; one = book.removing[binding] {
			l.mu.Unlock()
			select {
			case <-one.over:
			case <-ctx.Done():
			}
			l.mu.Lock()
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// wrote enters that the owner's status lists what the plan says.
func (p *pledge) wrote() {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	mine := p.book.owners[p.owner]
	mine.recorded = bindingSet(p.Record)
	p.book.set(p.owner, mine)
}

// finish ends the plan: it was carried out, or failed with err somewhere.
func (p *pledge) finish(err error) {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	if err != nil {
		p.book.view.doubt(slices.Concat(p.Add, p.Remove)...)
	} else {
		p.book.view.change(p.Add, p.Remove)
		mine := p.book.owners[p.owner]
		mine.recorded = bindingSet(p.Keep)
		p.book.set(p.owner, mine)
	}
	for _, binding := range p.Remove {
		one := p.book.removing[binding]
		if one.by--; one.by == 0 {
			close(one.over)
			delete(p.book.removing, binding)
		}
	}
}

// Fetch brings the view of a cluster up to date.
func (l *Ledger) Fetch(ctx context.Context, cluster string, connection *kafka.Cluster) error {
	asked := time.Now()
	have, err := connection.Bindings(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.book(ctx, cluster)
	if err != nil {
		return err
	}
	book.view.show(connection, asked, have)
	return nil
}

// Lacks says whether the last view of a cluster misses something that owner needs.
func (l *Ledger) Lacks(cluster string, owner client.Object) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	book := l.books[cluster]
	if book == nil {
		return false
	}
	for binding := range book.owners[owner.GetUID()].want {
		if _, ok := book.view.have[binding]; !ok {
			return true
		}
	}
	return false
}

// Forget drops a resource that is gone.
func (l *Ledger) Forget(cluster string, owner client.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if book := l.books[cluster]; book != nil {
		book.set(owner.GetUID(), entry{})
		delete(book.owners, owner.GetUID())
	}
}

// ForgetCluster drops the book of a KafkaCluster that is gone.
func (l *Ledger) ForgetCluster(cluster string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.books, cluster)
}

// Made is the number of bindings that Weir has made on a cluster.
func (l *Ledger) Made(ctx context.Context, cluster string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.book(ctx, cluster)
	if err != nil {
		return 0, err
	}
	return len(book.recorded), nil
}

// book is the ledger of one cluster, filled from the cache when it is new.
func (l *Ledger) book(ctx context.Context, cluster string) (*book, error) {
	if book := l.books[cluster]; book != nil {
		return book, nil
	}
	book := &book{
		owners: map[types.UID]entry{}, needed: counts{}, recorded: counts{},
		removing: map[kafka.Binding]*removal{},
	}
	err := pool.EachOn(ctx, l.reader, cluster, func(owner client.Object) error {
		listed, err := parseBindings(*managedBindings(owner))
		if err != nil {
			return err
		}
		e := entry{recorded: bindingSet(listed)}
		if owner.GetDeletionTimestamp().IsZero() {
			e.want = e.recorded
		}
		book.set(owner.GetUID(), e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the grants of cluster %s: %w", cluster, err)
	}
	l.books[cluster] = book
	return book, nil
}

// question asks PlanBindings about one owner.
func (b *book) question(mine entry) kafka.BindingQuestion {
	question := kafka.BindingQuestion{
		Have: b.view.have, NeededElsewhere: bindings{}, RecordedElsewhere: bindings{},
	}
	for binding := range mine.want {
		question.Want = append(question.Want, binding)
	}
	for binding := range mine.recorded {
		question.Recorded = append(question.Recorded, binding)
	}
	for binding := range union(mine.want, mine.recorded) {
		if b.needed[binding] > mine.want.count(binding) {
			question.NeededElsewhere[binding] = struct{}{}
		}
		if b.recorded[binding] > mine.recorded.count(binding) {
			question.RecordedElsewhere[binding] = struct{}{}
		}
	}
	return question
}

func (b *book) set(uid types.UID, e entry) {
	old := b.owners[uid]
	b.needed.change(old.want, e.want)
	b.recorded.change(old.recorded, e.recorded)
	b.owners[uid] = e
}

func (c counts) change(old, now bindings) {
	for binding := range old {
		if c[binding]--; c[binding] == 0 {
			delete(c, binding)
		}
	}
	for binding := range now {
		c[binding]++
	}
}

// count is 1 for a member, else 0.
func (b bindings) count(binding kafka.Binding) int {
	if _, ok := b[binding]; ok {
		return 1
	}
	return 0
}

func bindingSet(list []kafka.Binding) bindings {
	set := make(bindings, len(list))
	for _, binding := range list {
		set[binding] = struct{}{}
	}
	return set
}

func union(a, b bindings) bindings {
	all := make(bindings, len(a))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func intersection(a, b bindings) bindings {
	both := bindings{}
	for binding := range a {
		if b.count(binding) > 0 {
			both[binding] = struct{}{}
		}
	}
	return both
}
