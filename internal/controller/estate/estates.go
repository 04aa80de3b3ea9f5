package estate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Options are what Estates work with.
type Options struct {
	Clusters *pool.Clusters
	Root     *record.Root
	// Cache reads from the cache.
	Cache client.Client
	// Direct reads and writes past it.
	Direct client.Client
	// Resync is the time between two looks at all bindings of a cluster.
	Resync time.Duration
	// Leads says whether this process holds the lease, as the API server has it.
	Leads func(context.Context) (bool, error)
	// Fatal is told that another process holds the lease: this one must end.
	Fatal func(error)
	// Wake makes a pass over a resource. It must not block.
	Wake func(record.Ref)
	// Look makes a pass over a resource that was there before its estate was open.
	// It must not block.
	Look func(pool.Resident)
	// Corrected is told that somebody else had removed a binding that a resource
	// wants, and that it is there again. It must not block.
	Corrected func(record.Ref, kafka.Binding)
}

// Estates keeps one Estate for each KafkaCluster that acts. Safe for concurrent
// use.
type Estates struct {
	Options
	crds crds

	opening sync.Mutex // held by whoever opens or closes one
	mu      sync.Mutex
	open    map[string]*Estate // by KafkaCluster name
	kube    string             // the UID of the kube-system namespace, once it was read
}

// New has no estate open.
func New(options Options) *Estates {
	return &Estates{Options: options, open: map[string]*Estate{}, crds: crds{reader: options.Direct, looked: map[string]*looked{}}}
}

// Open makes a KafkaCluster act for the Kafka cluster with an ID, and returns its
// estate; fresh says that it was not open and has been read from the record.
// Whoever lives on it is woken then. Errors are halts, or the API server's.
func (e *Estates) Open(ctx context.Context, cluster *v1alpha1.KafkaCluster, id string) (opened *Estate, fresh bool, err error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	if known := e.Of(cluster.Name); known != nil && known.ID == id {
		return known, false, nil
	}
	e.close(cluster.Name)
	if err := e.act(ctx, cluster, id); err != nil {
		return nil, false, err
	}
	opened, residents, err := e.read(ctx, cluster, id)
	if err != nil {
		return nil, false, err
	}
	e.mu.Lock()
	e.open[cluster.Name] = opened
	e.mu.Unlock()
	for _, resident := range residents {
		e.Look(resident)
	}
	return opened, true, nil
}

// act enters in the root that a KafkaCluster acts for an ID, where no other does.
func (e *Estates) act(ctx context.Context, cluster *v1alpha1.KafkaCluster, id string) error {
	roots, err := e.Root.Load(ctx)
	if err != nil {
		return err
	}
	if other := roots.Acting[id]; other != "" && other != cluster.Name && roots.IDs[other] == id {
		err := e.Cache.Get(ctx, client.ObjectKey{Name: other}, &v1alpha1.KafkaCluster{})
		if err == nil {
			return halt.Stall(v1alpha1.ReasonClusterIDInUse,
				"KafkaCluster %q acts for the Kafka cluster with the ID %q already, or two Kafka clusters were given one ID; delete one of the two KafkaClusters", other, id)
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		e.close(other)
	}
	return e.stored(e.Root.Store(ctx, func(roots *record.Roots) {
		roots.IDs[cluster.Name] = id
		roots.Acting[id] = cluster.Name
	}))
}

// stored ends the process where another one leads, and makes a halt of what
// could not be stored.
func (e *Estates) stored(err error) error {
	if errors.Is(err, record.ErrFenced) {
		e.Fatal(err)
	}
	return NotStored(err)
}

// NotStored is an error of a record as a halt.
func NotStored(err error) error {
	if !errors.Is(err, record.ErrNotStored) {
		return err
	}
	return &halt.Halt{Kind: halt.Retrying, Reason: v1alpha1.ReasonRecordNotStored, Message: err.Error()}
}

// read opens the estate of an ID from its record.
func (e *Estates) read(ctx context.Context, cluster *v1alpha1.KafkaCluster, id string) (*Estate, []pool.Resident, error) {
	kube, err := e.kubernetes(ctx)
	if err != nil {
		return nil, nil, err
	}
	book := record.Open(record.Options{
		Client: e.Direct, Namespace: e.Clusters.Namespace, ClusterID: id, Writer: kube, Leads: e.Leads,
		Had: cluster.Annotations[v1alpha1.RecordAnnotation] == id,
	})
	state, err := book.Load(ctx)
	if err == nil {
		// There is a record from now on, or it is known that none can be stored.
		err = e.stored(book.Store(ctx, nil))
	}
	if err != nil {
		book.Close()
		return nil, nil, err
	}
	reserved := names.Reserved{{Kind: record.Group, Name: RetryGroup(id)}: {}}
	opened := &Estate{
		ID: id, book: book, names: names.NewBook(reserved, state.Entries), wake: e.Wake,
		stored: e.stored, elsewhere: state.Elsewhere,
		entries: map[record.Key]record.Entry{}, held: map[record.Ref]map[record.Key]struct{}{}, versions: map[record.Ref]string{},
		lanes: lanes{draining: map[record.Key]record.Ref{}, dry: map[record.Key]time.Time{}, absent: map[record.Key]time.Time{}},
	}
	for key, entry := range state.Entries {
		if key.Kind != record.Binding {
			opened.put(key, &entry)
		}
	}
	expected := []record.Ref{RefOf(cluster)}
	var residents []pool.Resident
	err = e.Clusters.Residents(ctx, cluster.Name, func(resident pool.Resident) {
		expected = append(expected, RefOf(resident))
		residents = append(residents, resident)
	})
	for _, resident := range residents {
		if err == nil {
			err = e.claimAtFirst(ctx, opened, cluster, resident)
		}
	}
	if err != nil {
		book.Close()
		return nil, nil, err
	}
	if state.Lost {
		opened.rebuilt = map[record.Ref]struct{}{}
		for _, ref := range expected {
			opened.rebuilt[ref] = struct{}{}
		}
	}
	for key, entry := range state.Entries {
		if entry.Lane != nil && entry.Lane.Draining() {
			expected = append(expected, record.Ref{Kind: kindDrain, Namespace: entry.Holder.Namespace, Name: entry.Holder.Name})
			opened.lanes.draining[key] = expected[len(expected)-1]
		}
	}
	opened.writer = grants.New(grants.Options{
		Cluster: latest{e.Clusters, cluster.Name}, Record: book, Entries: state.Entries, Expected: expected,
		Resync: e.Resync, Wake: e.Wake, Corrected: e.Corrected, Fatal: e.Fatal, Rebuilt: state.Lost,
		Settings: grants.Settings{Additive: state.Elsewhere != "", Take: cluster.Spec.Adoption == v1alpha1.AdoptionTake, Suspended: cluster.Spec.Suspend},
	})
	return opened, residents, nil
}

// kubernetes identifies this Kubernetes cluster.
func (e *Estates) kubernetes(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kube != "" {
		return e.kube, nil
	}
	var system metav1.PartialObjectMetadata
	system.SetGroupVersionKind(namespaceKind)
	if err := e.Direct.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		return "", fmt.Errorf("reading the namespace %s: %w", metav1.NamespaceSystem, err)
	}
	e.kube = string(system.UID)
	return e.kube, nil
}

// Of is the estate of a KafkaCluster that acts; nil where none is open.
func (e *Estates) Of(cluster string) *Estate {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open[cluster]
}

// all are the estates that are open.
func (e *Estates) all() []*Estate {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.open))
}

// End closes the estate of a KafkaCluster that is gone. The record stays: what
// Weir owns is kept until a KafkaCluster leads to the same Kafka cluster again.
func (e *Estates) End(ctx context.Context, cluster string) error {
	e.opening.Lock()
	defer e.opening.Unlock()
	e.close(cluster)
	return e.stored(e.Root.Store(ctx, func(roots *record.Roots) { delete(roots.IDs, cluster) }))
}

// Recorded is the ID of the Kafka cluster that a KafkaCluster led to last; empty
// where it has never been connected.
func (e *Estates) Recorded(cluster string) string { return e.Root.Known().IDs[cluster] }

// Suspend makes no request any more for a KafkaCluster, until it is opened again.
func (e *Estates) Suspend(cluster string) {
	if known := e.Of(cluster); known != nil {
		known.Set(grants.Settings{Suspended: true})
	}
}

// Close closes all estates.
func (e *Estates) Close() {
	e.opening.Lock()
	defer e.opening.Unlock()
	e.mu.Lock()
	open := slices.Collect(maps.Keys(e.open))
	e.mu.Unlock()
	for _, cluster := range open {
		e.close(cluster)
	}
}

func (e *Estates) close(cluster string) {
	e.mu.Lock()
	known := e.open[cluster]
	delete(e.open, cluster)
	e.mu.Unlock()
	if known != nil {
		known.close()
	}
}

// Gone tells all estates that a resource is not there any more. Seen says that
// this process saw it go; where its CustomResourceDefinition stands, somebody
// asked for that.
func (e *Estates) Gone(ctx context.Context, ref record.Ref, seen bool) error {
	cause := grants.Absent
	if seen {
		stands, err := e.crds.stand(ctx, ref.Kind)
		if err != nil {
			return err
		}
		if stands {
			cause = grants.Asked
		}
	}
	var errs []error
	for _, one := range e.all() {
		errs = append(errs, one.Gone(ref, cause))
	}
	return errors.Join(errs...)
}
