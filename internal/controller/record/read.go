package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Copy is the record of one Kafka cluster as it was at one moment, for people to
// look at: whoever writes the record goes by what Load returns.
type Copy struct {
	ClusterID string
	// Writer is the UID of the kube-system namespace of the Kubernetes cluster
	// that keeps the record.
	Writer  string
	Entries map[Key]Entry
}

// ReadRoot returns the root in the operator's namespace, and whether there is one.
func ReadRoot(ctx context.Context, reader client.Reader, namespace string) (Roots, bool, error) {
	var object corev1.ConfigMap
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: rootName}, &object)
	if apierrors.IsNotFound(err) {
		return Roots{}, false, nil
	}
	if err != nil {
		return Roots{}, false, fmt.Errorf("reading the record: %w", err)
	}
	roots, err := parseRoots(&object)
	return roots, err == nil, err
}

// Keys are the keys of the entries, by kind and name.
func (c Copy) Keys() []Key { return sorted(c.Entries) }

// Line is an entry as the record's log has it, without the end of the line.
func Line(key Key, entry Entry) (string, error) {
	text, err := appendChange(nil, Change{key, &entry})
	return strings.TrimSuffix(string(text), "\n"), err
}

// Read returns the records in the operator's namespace, by cluster ID. It writes
// nothing, so that it disturbs nobody who does. The error names the ConfigMap of
// each record that cannot be understood, and the others are returned with it.
func Read(ctx context.Context, reader client.Reader, namespace string) ([]Copy, error) {
	// One list shows all at one moment: what was read in several requests might
	// have been folded between them.
	var list corev1.ConfigMapList
	if err := reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	all := map[string]*corev1.ConfigMap{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	get := func(name string) (*corev1.ConfigMap, error) {
		if found, ok := all[name]; ok {
			return found, nil
		}
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	var copies []Copy
	var unreadable []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		// A part has one more dash in its name.
		if id, ok := strings.CutPrefix(name, namePrefix); !ok || strings.Contains(id, "-") {
			continue
		}
		one, err := copyOf(source{namespace, name, get}, all[name])
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		copies = append(copies, one)
	}
	slices.SortFunc(copies, func(a, b Copy) int { return cmp.Compare(a.ClusterID, b.ClusterID) })
	return copies, errors.Join(unreadable...)
}

func copyOf(from source, log *corev1.ConfigMap) (Copy, error) {
	if err := from.check(log); err != nil {
		return Copy{}, err
	}
	_, entries, err := from.read(log)
	return Copy{log.Data[clusterKey], log.Data[writerKey], entries}, err
}
