package record

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var errClosed = errors.New("the record is closed")

// Load implements Record. It writes a name of its own into the log first, so
// that what an earlier process still writes meets a conflict. An error that is
// not the API server's says which ConfigMap cannot be understood; nothing may be
// done until somebody has restored it, or deleted the record on purpose.
func (b *Book) Load(ctx context.Context) (State, error) {
	b.storing.Lock()
	defer b.storing.Unlock()
	log := &corev1.ConfigMap{}
	err := b.options.Client.Get(ctx, client.ObjectKey{Namespace: b.options.Namespace, Name: logName(b.options.ClusterID)}, log)
	if apierrors.IsNotFound(err) {
		b.lost = b.options.Had
		b.keep(b.freshLog(), nil, map[Key]Entry{})
		return State{Entries: map[Key]Entry{}, Lost: b.lost}, b.sweep(ctx)
	}
	if err != nil {
		return State{}, fmt.Errorf("reading the record: %w", err)
	}
	from := b.source(ctx)
	if err := from.check(log); err != nil {
		return State{}, err
	}
	log.Data[keeperKey] = rand.Text()
	if err := b.options.Client.Update(ctx, log); err != nil {
		return State{}, fmt.Errorf("taking the record over: %w", err)
	}
	parts, entries, err := from.read(log)
	if err != nil {
		return State{}, err
	}
	b.lost = log.Data[lostKey] != ""
	b.keep(log, parts, entries)
	state := State{Entries: maps.Clone(entries), Lost: b.lost}
	if writer := log.Data[writerKey]; writer != b.options.Writer {
		state.Elsewhere = writer
	}
	return state, b.sweep(ctx)
}

// source is where the book is read, past every cache.
func (b *Book) source(ctx context.Context) source {
	get := func(name string) (*corev1.ConfigMap, error) {
		found := &corev1.ConfigMap{}
		return found, b.options.Client.Get(ctx, client.ObjectKey{Namespace: b.options.Namespace, Name: name}, found)
	}
	return source{namespace: b.options.Namespace, log: logName(b.options.ClusterID), get: get}
}

func (b *Book) freshLog() *corev1.ConfigMap {
	log := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.options.Namespace, Name: logName(b.options.ClusterID)},
		Data: map[string]string{
			clusterKey: b.options.ClusterID, writerKey: b.options.Writer, keeperKey: rand.Text(), baseKey: "", logKey: "",
		},
	}
	if b.lost {
		log.Data[lostKey] = "true"
	}
	return log
}

// keep makes what was read or written the book's.
func (b *Book) keep(log *corev1.ConfigMap, parts []part, entries map[Key]Entry) {
	b.log, b.parts, b.layers = log, parts, len(parts)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = entries
}

// sweep deletes parts that the log does not name: a process ended while it
// folded, and cannot write any more the log that would have named them.
func (b *Book) sweep(ctx context.Context) error {
	var here metav1.PartialObjectMetadataList
	here.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := b.options.Client.List(ctx, &here, client.InNamespace(b.options.Namespace)); err != nil {
		return fmt.Errorf("looking for what is left of the record: %w", err)
	}
	for _, found := range here.Items {
		named := slices.ContainsFunc(b.parts, func(p part) bool { return p.name == found.Name })
		if named || !strings.HasPrefix(found.Name, b.log.Name+"-") {
			continue
		}
		left := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: found.Namespace, Name: found.Name}}
		if err := b.options.Client.Delete(ctx, left); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting what is left of the record: %w", err)
		}
	}
	return nil
}
