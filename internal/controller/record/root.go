package record

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rootName is the name of the ConfigMap with the root, and rootKey its one key.
const (
	rootName = "weir-record"
	rootKey  = "root"
)

// Roots is what is to be known before any Kafka cluster is.
type Roots struct {
	// Default is the KafkaCluster that resources without a reference are on.
	Default string `json:"default,omitempty"`
	// IDs are the Kafka cluster IDs that KafkaClusters led to, by their names.
	IDs map[string]string `json:"ids,omitempty"`
	// Acting are the names of the KafkaClusters that act, by Kafka cluster ID.
	Acting map[string]string `json:"acting,omitempty"`
}

func (r Roots) clone() Roots {
	r.IDs, r.Acting = maps.Clone(r.IDs), maps.Clone(r.Acting)
	if r.IDs == nil {
		r.IDs = map[string]string{}
	}
	if r.Acting == nil {
		r.Acting = map[string]string{}
	}
	return r
}

// Root keeps Roots in one ConfigMap of the operator's namespace. It reads it
// past every cache when it is first asked. Safe for concurrent use.
type Root struct {
	client    client.Client
	namespace string
	leads     func(context.Context) (bool, error)

	storing sync.Mutex // held by whoever reads or writes the ConfigMap
	object  *corev1.ConfigMap

	mu    sync.Mutex
	roots Roots
}

// NewRoot reads and writes by c, past every cache. Leads is as in Options.
func NewRoot(c client.Client, namespace string, leads func(context.Context) (bool, error)) *Root {
	return &Root{client: c, namespace: namespace, leads: leads, roots: Roots{}.clone()}
}

// Known is what has been read or stored so far; it asks nobody. Read only.
func (r *Root) Known() Roots {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roots
}

// Load reads the root where it has not been read yet. An error that is not the
// API server's says that the ConfigMap cannot be understood.
func (r *Root) Load(ctx context.Context) (Roots, error) {
	r.storing.Lock()
	defer r.storing.Unlock()
	return r.load(ctx)
}

func (r *Root) load(ctx context.Context) (Roots, error) {
	if r.object != nil {
		return r.Known(), nil
	}
	object := &corev1.ConfigMap{}
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: rootName}, object)
	if apierrors.IsNotFound(err) {
		r.object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: rootName}}
		return r.Known(), nil
	}
	if err != nil {
		return Roots{}, fmt.Errorf("reading the record: %w", err)
	}
	roots, err := parseRoots(object)
	if err != nil {
		return Roots{}, err
	}
	r.object = object
	r.keep(roots.clone())
	return r.Known(), nil
}

func parseRoots(object *corev1.ConfigMap) (roots Roots, err error) {
	if err := json.Unmarshal([]byte(object.Data[rootKey]), &roots); err != nil {
		return roots, fmt.Errorf("ConfigMap %s/%s, which holds what Weir owns, cannot be read: %w; restore it from a backup, or delete it", object.Namespace, rootName, err)
	}
	return roots, nil
}

func (r *Root) keep(roots Roots) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roots = roots
}

// Store changes the root, and is done when it returns nil. It writes nothing
// where nothing differs. It fails with ErrFenced where another process leads.
func (r *Root) Store(ctx context.Context, change func(*Roots)) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r.storing.Lock()
	defer r.storing.Unlock()
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	roots := known.clone()
	change(&roots)
	text, err := json.Marshal(roots)
	if err != nil {
		return err
	}
	if r.object.Data[rootKey] == string(text) {
		return nil
	}
	err = r.put(ctx, string(text), r.object.ResourceVersion)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		err = r.again(ctx, string(text))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	r.keep(roots)
	return nil
}

// again writes the root after somebody else has written or deleted it; see
// Book.again.
func (r *Root) again(ctx context.Context, text string) error {
	leads, err := r.leads(ctx)
	if err != nil {
		return fmt.Errorf("looking who holds the lease: %w", err)
	}
	if !leads {
		return ErrFenced
	}
	var now corev1.ConfigMap
	err = r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: rootName}, &now)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	return r.put(ctx, text, now.ResourceVersion)
}

func (r *Root) put(ctx context.Context, text, version string) error {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: rootName, ResourceVersion: version},
		Data:       map[string]string{rootKey: text},
	}
	var err error
	if version == "" {
		err = r.client.Create(ctx, object)
	} else {
		err = r.client.Update(ctx, object)
	}
	if err != nil {
		return err
	}
	r.object = object
	return nil
}
