package controller

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// ledger counts, for every ACL binding of every cluster, how many resources
// need it and how many have it in their status as made by Weir. It is what
// makes bindings reference-counted, without asking the API server: two
// resources that drop the same binding at once are told apart here, where the
// second to come knows what the first has decided.
//
// It is filled from the cache at the first question about a cluster, since a
// manager that has just started has not reconciled the others yet. Safe for
// concurrent use.
type ledger struct {
	reader client.Reader

	mu       sync.Mutex
	clusters map[string]*clusterLedger
}

type clusterLedger struct {
	owners   map[types.UID]entry
	needed   map[kafka.Binding]int
	recorded map[kafka.Binding]int
}

// entry is what one resource needs, and what its status lists.
type entry struct {
	want, recorded map[kafka.Binding]struct{}
}

func newLedger(reader client.Reader) *ledger {
	return &ledger{reader: reader, clusters: map[string]*clusterLedger{}}
}

// plan enters what owner needs and has recorded on a cluster, and plans what
// follows, given the bindings that the broker shows.
func (l *ledger) plan(ctx context.Context, cluster string, owner client.Object, want []kafka.Binding, have map[kafka.Binding]struct{}) (kafka.BindingPlan, error) {
	recorded, err := parseBindings(*managedBindings(owner))
	if err != nil {
		return kafka.BindingPlan{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.book(ctx, cluster)
	if err != nil {
		return kafka.BindingPlan{}, err
	}
	book.set(owner.GetUID(), entry{want: bindingSet(want), recorded: bindingSet(recorded)})
	question := kafka.BindingQuestion{
		Want: want, Recorded: recorded, Have: have,
		NeededElsewhere:   map[kafka.Binding]struct{}{},
		RecordedElsewhere: map[kafka.Binding]struct{}{},
	}
	mine := book.owners[owner.GetUID()]
	for _, set := range []map[kafka.Binding]struct{}{mine.want, mine.recorded} {
		for binding := range set {
			if book.needed[binding] > one(mine.want, binding) {
				question.NeededElsewhere[binding] = struct{}{}
			}
			if book.recorded[binding] > one(mine.recorded, binding) {
				question.RecordedElsewhere[binding] = struct{}{}
			}
		}
	}
	return kafka.PlanBindings(question), nil
}

// enter writes down what owner's status lists now.
func (l *ledger) enter(cluster string, owner client.Object, recorded []kafka.Binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if book := l.clusters[cluster]; book != nil {
		book.set(owner.GetUID(), entry{want: book.owners[owner.GetUID()].want, recorded: bindingSet(recorded)})
	}
}

// forget drops a resource that is gone.
func (l *ledger) forget(cluster string, owner client.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if book := l.clusters[cluster]; book != nil {
		book.set(owner.GetUID(), entry{})
		delete(book.owners, owner.GetUID())
	}
}

// made is the number of bindings that Weir has made on a cluster.
func (l *ledger) made(ctx context.Context, cluster string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	book, err := l.book(ctx, cluster)
	if err != nil {
		return 0, err
	}
	return len(book.recorded), nil
}

// book is the ledger of one cluster, filled from the cache when it is new.
func (l *ledger) book(ctx context.Context, cluster string) (*clusterLedger, error) {
	if book := l.clusters[cluster]; book != nil {
		return book, nil
	}
	book := &clusterLedger{
		owners: map[types.UID]entry{}, needed: map[kafka.Binding]int{}, recorded: map[kafka.Binding]int{},
	}
	err := eachOwner(ctx, l.reader, func(owner client.Object) error {
		if clusterOf(owner) != cluster {
			return nil
		}
		bindings, err := parseBindings(*managedBindings(owner))
		if err != nil {
			return err
		}
		e := entry{recorded: bindingSet(bindings)}
		if owner.GetDeletionTimestamp().IsZero() {
			e.want = e.recorded
		}
		book.set(owner.GetUID(), e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the grants of cluster %s: %w", cluster, err)
	}
	l.clusters[cluster] = book
	return book, nil
}

func (b *clusterLedger) set(uid types.UID, e entry) {
	old := b.owners[uid]
	recount(b.needed, old.want, e.want)
	recount(b.recorded, old.recorded, e.recorded)
	b.owners[uid] = e
}

func recount(counts map[kafka.Binding]int, old, now map[kafka.Binding]struct{}) {
	for binding := range old {
		if counts[binding]--; counts[binding] == 0 {
			delete(counts, binding)
		}
	}
	for binding := range now {
		counts[binding]++
	}
}

func one(set map[kafka.Binding]struct{}, binding kafka.Binding) int {
	if _, ok := set[binding]; ok {
		return 1
	}
	return 0
}

func bindingSet(bindings []kafka.Binding) map[kafka.Binding]struct{} {
	set := make(map[kafka.Binding]struct{}, len(bindings))
	for _, binding := range bindings {
		set[binding] = struct{}{}
	}
	return set
}

func parseBindings(lines []string) ([]kafka.Binding, error) {
	bindings := make([]kafka.Binding, len(lines))
	for i, line := range lines {
		binding, err := kafka.ParseBinding(line)
		if err != nil {
			return nil, fmt.Errorf("status.managedBindings: %w", err)
		}
		bindings[i] = binding
	}
	return bindings, nil
}

func formatBindings(bindings []kafka.Binding) []string {
	var lines []string
	for _, binding := range bindings {
		lines = append(lines, binding.String())
	}
	return lines
}

// managedBindings is where a resource's status lists the bindings that Weir made.
func managedBindings(obj client.Object) *[]string {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return &o.Status.ManagedBindings
	case *v1alpha1.Topic:
		return &o.Status.ManagedBindings
	case *v1alpha1.OutboxRelay:
		return &o.Status.ManagedBindings
	case *v1alpha1.ConsumerGroup:
		return &o.Status.ManagedBindings
	}
	panic(fmt.Sprintf("controller: %T owns no bindings", obj))
}

// clusterOf is the cluster on which a resource's bindings are; empty before
// its first pass.
func clusterOf(obj client.Object) string {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return o.Name
	case *v1alpha1.Topic:
		return o.Status.Cluster
	case *v1alpha1.OutboxRelay:
		return o.Status.Cluster
	case *v1alpha1.ConsumerGroup:
		return o.Status.Cluster
	}
	panic(fmt.Sprintf("controller: %T is on no cluster", obj))
}

// eachOwner calls fn with every resource that can own bindings.
func eachOwner(ctx context.Context, reader client.Reader, fn func(client.Object) error) error {
	var (
		clusters v1alpha1.KafkaClusterList
		topics   v1alpha1.TopicList
		relays   v1alpha1.OutboxRelayList
		groups   v1alpha1.ConsumerGroupList
	)
	for _, list := range []client.ObjectList{&clusters, &topics, &relays, &groups} {
		if err := reader.List(ctx, list); err != nil {
			return err
		}
	}
	for i := range clusters.Items {
		if err := fn(&clusters.Items[i]); err != nil {
			return err
		}
	}
	for i := range topics.Items {
		if err := fn(&topics.Items[i]); err != nil {
			return err
		}
	}
	for i := range relays.Items {
		if err := fn(&relays.Items[i]); err != nil {
			return err
		}
	}
	for i := range groups.Items {
		if err := fn(&groups.Items[i]); err != nil {
			return err
		}
	}
	return nil
}
