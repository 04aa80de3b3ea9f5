package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// write stores changes: in the log, or in a new base where that is full, or
// where somebody else has written or deleted the record.
func (b *Book) write(changes []Change) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	b.storing.Lock()
	defer b.storing.Unlock()
	switch {
	case b.log == nil:
		return errors.New("the record has not been read yet")
	case b.fenced != nil:
		return b.fenced
	}
	err := b.tryWrite(ctx, changes)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		err = b.again(ctx, b.after(changes))
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	if errors.Is(err, ErrFenced) {
		b.fenced = err // for good: what is in memory is another's now
	}
	return err
}

func (b *Book) tryWrite(ctx context.Context, changes []Change) error {
	text := []byte(b.log.Data[logKey])
	var err error
	for _, change := range changes {
		if text, err = appendChange(text, change); err != nil {
			return err
		}
	}
	switch {
	case len(text) <= logLimit:
		log := b.log.DeepCopy()
		log.Data[logKey] = string(text)
		if err := b.put(ctx, log); err != nil {
			return err
		}
		b.log = log
	case b.layers < mostLayers:
		if err := b.layer(ctx, text); err != nil {
			return err
		}
	default:
		return b.fold(ctx, b.log, b.after(changes))
	}
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

// again writes the whole memory after somebody else has written or deleted the
// record: that was another process, and this one must end; or, while this one
// holds the lease, somebody by hand, or this process with an answer that was lost.
func (b *Book) again(ctx context.Context, entries map[Key]Entry) error {
	leads, err := b.options.Leads(ctx)
	if err != nil {
		return fmt.Errorf("looking who holds the lease: %w", err)
	}
	if !leads {
		return ErrFenced
	}
	log := b.freshLog()
	log.Data[writerKey] = b.log.Data[writerKey]
	var now corev1.ConfigMap
	err = b.options.Client.Get(ctx, client.ObjectKeyFromObject(log), &now)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	log.ResourceVersion = now.ResourceVersion
	return b.fold(ctx, log, entries)
}

// layer writes the lines of a log that is full as another layer of the base, and
// then the log that names it. A crash between the two leaves a part that goes when
// the record is read.
func (b *Book) layer(ctx context.Context, text []byte) error {
	parts, err := b.create(ctx, b.log.Name, text)
	if err != nil {
		return err
	}
	parts = slices.Concat(b.parts, parts)
	log, err := b.base(ctx, b.log, parts)
	if err != nil {
		return err
	}
	b.log, b.parts, b.layers = log, parts, b.layers+1
	return nil
}

// fold writes all entries as a base of one layer, then the log that names its
// parts, and then deletes the old ones. A crash between any two leaves a record
// that can be read, and parts that go when it is.
func (b *Book) fold(ctx context.Context, log *corev1.ConfigMap, entries map[Key]Entry) error {
	text, err := all(entries)
	if err != nil {
		return err
	}
	parts, err := b.create(ctx, log.Name, text)
	if err != nil {
		return err
	}
	if log, err = b.base(ctx, log, parts); err != nil {
		return err
	}
	old := b.parts
	b.keep(log, parts, entries)
	for _, p := range old {
		// What cannot be deleted now goes when the record is read the next time.
		_ = b.options.Client.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: log.Namespace, Name: p.name}})
	}
	return nil
}

// create writes lines as new parts.
func (b *Book) create(ctx context.Context, log string, text []byte) ([]part, error) {
	contents, err := compressed(text)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, content := range contents {
		p := newPart(log, content)
		parts = append(parts, p)
		err := b.options.Client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: b.options.Namespace, Name: p.name},
			Data:       map[string]string{clusterKey: b.options.ClusterID},
			BinaryData: map[string][]byte{partKey: content},
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// base writes a log without lines that names the parts of the base.
func (b *Book) base(ctx context.Context, log *corev1.ConfigMap, parts []part) (*corev1.ConfigMap, error) {
	log = log.DeepCopy()
	log.Data[baseKey], log.Data[logKey] = formatParts(parts), ""
	return log, b.put(ctx, log) // an answer that was lost may have named them
}

// Rebuilt says that a record that was lost has all again that resources declare.
func (b *Book) Rebuilt(ctx context.Context) error {
	return b.restate(ctx, func(said map[string]string) { b.lost = false; delete(said, lostKey) })
}

// Agree makes this Kubernetes cluster the record's keeper, where it was written
// by another one.
func (b *Book) Agree(ctx context.Context) error {
	return b.restate(ctx, func(said map[string]string) { said[writerKey] = b.options.Writer })
}

// restate changes what the log says of the record itself.
func (b *Book) restate(ctx context.Context, change func(map[string]string)) error {
	b.storing.Lock()
	if b.log != nil {
		change(b.log.Data)
	}
	b.storing.Unlock()
	return b.Store(ctx, nil)
}
