package pool

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Admits says whether resources of a namespace may use a KafkaCluster. Errors
// are halts.
func (c *Clusters) Admits(ctx context.Context, cluster *v1alpha1.KafkaCluster, namespace string) error {
	if cluster.Spec.Namespaces.From != v1alpha1.FromSelector {
		return nil
	}
	ok, err := c.NamespaceMatches(ctx, namespace, cluster.Spec.Namespaces.Selector)
	if err != nil || ok {
		return err
	}
	return halt.Stall(v1alpha1.ReasonNamespaceRefused,
		"KafkaCluster %q does not admit namespace %q: its labels do not match spec.namespaces.selector (%s)",
		cluster.Name, namespace, metav1.FormatLabelSelector(cluster.Spec.Namespaces.Selector))
}

// Usable returns the halt that says why nothing is done on a KafkaCluster now;
// nil where it is Ready.
func Usable(cluster *v1alpha1.KafkaCluster) error {
	ready := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case !cluster.DeletionTimestamp.IsZero():
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is being deleted: nothing on it is changed any more", cluster.Name)
	case cluster.Spec.Suspend:
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", cluster.Name)
	case ready == nil || cluster.Status.ObservedGeneration != cluster.Generation:
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q has not been looked at yet", cluster.Name)
	case ready.Status != metav1.ConditionTrue:
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is not ready: %s", cluster.Name, ready.Message)
	}
	return nil
}

// Current is the connection to a KafkaCluster. It reads its Secrets only where
// there is none for the spec of now: the KafkaCluster's own passes notice that a
// Secret has changed.
func (c *Clusters) Current(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	c.mu.Lock()
	known, ok := c.connections[resource.Name]
	c.mu.Unlock()
	if ok && known.version == Version(resource) {
		return known.cluster, nil
	}
	return c.Connect(ctx, resource)
}

// Resident is a resource that lives on a KafkaCluster.
type Resident interface {
	client.Object
	GetClusterRef() *v1alpha1.ClusterReference
}

// NameOf is the KafkaCluster that a resource lives on, as far as that is known
// without asking: the one that it refers to, else the default; empty before
// there is one.
func (c *Clusters) NameOf(resident Resident) string {
	if ref := resident.GetClusterRef(); ref != nil {
		return ref.Name
	}
	return c.root.Known().Default
}

// Find reads the KafkaCluster that a resource refers to, else the default. The
// default is recorded once it was used: resources do not move to another cluster
// while the one exists that they are on. Errors are halts.
func (c *Clusters) Find(ctx context.Context, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, error) {
	if ref != nil {
		found, err := c.get(ctx, ref.Name)
		if apierrors.IsNotFound(err) {
			return nil, halt.Wait(v1alpha1.ReasonClusterNotFound, "KafkaCluster %q does not exist; create it, or name another one in spec.clusterRef", ref.Name)
		}
		return found, err
	}
	roots, err := c.root.Load(ctx)
	if err != nil {
		return nil, err
	}
	if roots.Default != "" {
		found, err := c.get(ctx, roots.Default)
		if !apierrors.IsNotFound(err) {
			return found, err
		}
	}
	found, err := c.findDefault(ctx)
	if err != nil {
		return nil, err
	}
	return found, c.root.Store(ctx, func(roots *record.Roots) { roots.Default = found.Name })
}

func (c *Clusters) get(ctx context.Context, name string) (*v1alpha1.KafkaCluster, error) {
	var found v1alpha1.KafkaCluster
	return &found, c.reader.Get(ctx, client.ObjectKey{Name: name}, &found)
}

func (c *Clusters) findDefault(ctx context.Context) (*v1alpha1.KafkaCluster, error) {
	var all v1alpha1.KafkaClusterList
	if err := c.reader.List(ctx, &all); err != nil {
		return nil, err
	}
	var defaults []*v1alpha1.KafkaCluster
	var names []string
	for i := range all.Items {
		if all.Items[i].Annotations[v1alpha1.DefaultClusterAnnotation] == "true" {
			defaults = append(defaults, &all.Items[i])
			names = append(names, all.Items[i].Name)
		}
	}
	slices.Sort(names) // the cache has no order, and the message must not change
	switch len(defaults) {
	case 1:
		return defaults[0], nil
	case 0:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound,
			"spec.clusterRef is absent and no KafkaCluster is the default; set spec.clusterRef, or annotate a KafkaCluster with %s=true",
			v1alpha1.DefaultClusterAnnotation)
	default:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound,
			"spec.clusterRef is absent and several KafkaClusters carry %s=true: %s; leave it on one",
			v1alpha1.DefaultClusterAnnotation, strings.Join(names, ", "))
	}
}

// NamespaceMatches says whether a namespace's labels match a selector.
func (c *Clusters) NamespaceMatches(ctx context.Context, namespace string, by *metav1.LabelSelector) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return false, halt.Stall("InvalidSelector", "the namespace selector is not valid: %v", err)
	}
	of, err := c.NamespaceLabels(ctx, namespace)
	return err == nil && selector.Matches(of), err
}

// NamespaceLabels are the labels of a namespace.
func (c *Clusters) NamespaceLabels(ctx context.Context, namespace string) (labels.Set, error) {
	var found corev1.Namespace
	if err := c.reader.Get(ctx, client.ObjectKey{Name: namespace}, &found); err != nil {
		return nil, err
	}
	return found.Labels, nil
}
