package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var errClosed = errors.New("the record is closed")

// Load implements Record. An error that is not the API server's says which
// ConfigMap cannot be understood; nothing may be done until somebody has
// restored it, or deleted it on purpose.
func (b *Book) Load(ctx context.Context) (State, error) {
	b.storing.Lock()
	defer b.storing.Unlock()
	log := &corev1.ConfigMap{}
	err := b.options.Client.Get(ctx, client.ObjectKey{Namespace: b.options.Namespace, Name: logName(b.options.ClusterID)}, log)
	if apierrors.IsNotFound(err) {
		b.keep(b.freshLog(), base{}, map[Key]Entry{})
		return State{Entries: map[Key]Entry{}, Lost: b.options.Had}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("reading the record: %w", err)
	}
	at, entries, err := b.read(ctx, log)
	if err != nil {
		return State{}, err
	}
	b.keep(log, at, entries)
	state := State{Entries: maps.Clone(entries)}
	if writer := log.Data[writerKey]; writer != b.options.Writer {
		state.Elsewhere = writer
	}
	return state, b.sweep(ctx)
}

func (b *Book) freshLog() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.options.Namespace, Name: logName(b.options.ClusterID)},
		Data:       map[string]string{clusterKey: b.options.ClusterID, writerKey: b.options.Writer, baseKey: base{}.String()},
	}
}

// keep makes what was read or written the book's.
func (b *Book) keep(log *corev1.ConfigMap, at base, entries map[Key]Entry) {
	b.log, b.base = log, at
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = entries
}

// read puts a record together from its log and the parts that the log names.
func (b *Book) read(ctx context.Context, log *corev1.ConfigMap) (base, map[Key]Entry, error) {
	unreadable := func(name string, err error) error {
		return fmt.Errorf("ConfigMap %s/%s, which holds what Weir owns, cannot be read: %w; restore it from a backup, or delete it so that what is declared counts as made by Weir",
			b.options.Namespace, name, err)
	}
	if id := log.Data[clusterKey]; id != b.options.ClusterID {
		return base{}, nil, unreadable(log.Name, fmt.Errorf("it is of the Kafka cluster %q, and %q is wanted", id, b.options.ClusterID))
	}
	at, err := parseBase(log.Data[baseKey])
	if err != nil {
		return base{}, nil, unreadable(log.Name, err)
	}
	var parts [][]byte
	for i := range at.parts {
		var part corev1.ConfigMap
		name := partName(log.Name, at.generation, i)
		err := b.options.Client.Get(ctx, client.ObjectKey{Namespace: b.options.Namespace, Name: name}, &part)
		if apierrors.IsNotFound(err) {
			return base{}, nil, unreadable(name, errors.New("it does not exist"))
		}
		if err != nil {
			return base{}, nil, fmt.Errorf("reading the record: %w", err)
		}
		parts = append(parts, part.BinaryData[partKey])
	}
	entries, err := unpacked(parts)
	if err != nil {
		return base{}, nil, unreadable(partName(log.Name, at.generation, 0), err)
	}
	if err := replay(strings.NewReader(log.Data[logKey]), entries); err != nil {
		return base{}, nil, unreadable(log.Name, err)
	}
	return at, entries, nil
}

// sweep deletes parts that no log names: a process ended while it folded.
func (b *Book) sweep(ctx context.Context) error {
	var here metav1.PartialObjectMetadataList
	here.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := b.options.Client.List(ctx, &here, client.InNamespace(b.options.Namespace)); err != nil {
		return fmt.Errorf("looking for what is left of the record: %w", err)
	}
	for _, found := range here.Items {
		rest, ours := strings.CutPrefix(found.Name, b.log.Name+"-")
		if !ours || strings.HasPrefix(rest, fmt.Sprintf("%d-", b.base.generation)) {
			continue
		}
		part := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: found.Namespace, Name: found.Name}}
		if err := b.options.Client.Delete(ctx, part); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting what is left of the record: %w", err)
		}
	}
	return nil
}

// write stores changes: in the log, or in a new base where that is full.
func (b *Book) write(changes []Change) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	b.storing.Lock()
	defer b.storing.Unlock()
	if b.log == nil {
		return errors.New("the record has not been read yet")
	}
	text := []byte(b.log.Data[logKey])
	var err error
	for _, change := range changes {
		if text, err = appendChange(text, change); err != nil {
			return err
		}
	}
	if len(text) > logLimit {
		return b.fold(ctx, b.log, b.base.generation+1, b.after(changes))
	}
	log := b.log.DeepCopy()
	log.Data[logKey] = string(text)
	switch err := b.put(ctx, log); {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return b.again(ctx, b.after(changes))
	case apierrors.IsNotFound(err):
		return b.fold(ctx, b.freshLog(), b.base.generation+1, b.after(changes))
	case err != nil:
		return fmt.Errorf("storing the record: %w", err)
	}
	b.log = log
	b.mu.Lock()
	defer b.mu.Unlock()
	apply(b.entries, changes)
	return nil
}

// after is what is stored once changes are.
func (b *Book) after(changes []Change) map[Key]Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	after := maps.Clone(b.entries)
	apply(after, changes)
	return after
}

func apply(entries map[Key]Entry, changes []Change) {
	for _, change := range changes {
		if change.Entry == nil {
			delete(entries, change.Key)
		} else {
			entries[change.Key] = *change.Entry
		}
	}
}

// put creates or updates a ConfigMap, by its resource version.
func (b *Book) put(ctx context.Context, object *corev1.ConfigMap) error {
	if object.ResourceVersion == "" {
		return b.options.Client.Create(ctx, object)
	}
	return b.options.Client.Update(ctx, object)
}

// again writes the whole memory after somebody else has written the record: that
// was another process, and this one must end; or, while this one holds the
// lease, somebody by hand, or this process with an answer that was lost.
func (b *Book) again(ctx context.Context, entries map[Key]Entry) error {
	if err := b.options.Leads(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	log, generation := b.freshLog(), b.base.generation
	var now corev1.ConfigMap
	err := b.options.Client.Get(ctx, client.ObjectKeyFromObject(log), &now)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the record: %w", err)
	}
	if err == nil {
		log.ResourceVersion = now.ResourceVersion
		if theirs, err := parseBase(now.Data[baseKey]); err == nil {
			generation = max(generation, theirs.generation)
		}
	}
	return b.fold(ctx, log, generation+1, entries)
}

// fold writes all entries as a base of a new generation, then the log that names
// it, and then deletes the parts of the old one. A crash between any two leaves
// a record that can be read.
func (b *Book) fold(ctx context.Context, log *corev1.ConfigMap, generation int, entries map[Key]Entry) error {
	parts, err := compressed(entries)
	if err != nil {
		return err
	}
	at := base{generation, len(parts)}
	for i, content := range parts {
		if err := b.putPart(ctx, partName(log.Name, generation, i), content); err != nil {
			return fmt.Errorf("storing the record's base: %w", err)
		}
	}
	log = log.DeepCopy()
	log.Data[writerKey], log.Data[baseKey], log.Data[logKey] = b.log.Data[writerKey], at.String(), ""
	switch err := b.put(ctx, log); {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		if err := b.options.Leads(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrFenced, err)
		}
		return fmt.Errorf("storing the record: %w", err) // the next store writes it again
	case err != nil:
		return fmt.Errorf("storing the record: %w", err)
	}
	old := b.base
	b.keep(log, at, entries)
	for i := range old.parts {
		part := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: log.Namespace, Name: partName(log.Name, old.generation, i)}}
		// What cannot be deleted now goes when the record is read the next time.
		_ = b.options.Client.Delete(ctx, part)
	}
	return nil
}

// putPart writes one part; one of that name is left of a fold that was cut short.
func (b *Book) putPart(ctx context.Context, name string, content []byte) error {
	part := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.options.Namespace, Name: name},
		BinaryData: map[string][]byte{partKey: content},
	}
	err := b.options.Client.Create(ctx, part)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return b.options.Client.Update(ctx, part)
}

// Agree makes this Kubernetes cluster the record's keeper, where it was written
// by another one.
func (b *Book) Agree(ctx context.Context) error {
	b.storing.Lock()
	if b.log != nil {
		b.log.Data[writerKey] = b.options.Writer
	}
	b.storing.Unlock()
	return b.Store(ctx, nil)
}
