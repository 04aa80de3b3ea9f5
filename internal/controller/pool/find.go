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
	"github.com/weir-dev/weir/internal/kafka"
)

// Of finds the cluster of a resource that is in namespace: the one recorded in
// its status, else the one that its spec names, else the default. The cluster
// must allow the namespace and be Ready. Errors are halts.
func (c *Clusters) Of(ctx context.Context, namespace, recorded string, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, *kafka.Cluster, error) {
	resource, err := c.Find(ctx, recorded, ref)
	if err != nil {
		return nil, nil, err
	}
	if err := c.allows(ctx, resource, namespace); err != nil {
		return nil, nil, err
	}
	ready := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case !resource.DeletionTimestamp.IsZero():
		// What it waits for is its owner's to read: it names the resources of all teams.
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady,
			"KafkaCluster %q is being deleted: its owner has to decide; nothing on it is changed any more", resource.Name)
	case resource.Spec.Suspend:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", resource.Name)
	case ready == nil || resource.Status.ObservedGeneration != resource.Generation:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q has not been looked at yet", resource.Name)
	case ready.Status != metav1.ConditionTrue:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is not ready: %s", resource.Name, ready.Message)
	}
	cluster, err := c.current(ctx, resource)
	return resource, cluster, err
}

// current is the connection to a KafkaCluster. It reads its Secrets only where
// there is none for the spec of now: the KafkaCluster's own passes notice that a
// Secret has changed.
func (c *Clusters) current(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	c.mu.Lock()
	known, ok := c.connections[resource.Name]
	c.mu.Unlock()
	if ok && known.version == Version(resource) {
		return known.cluster, nil
	}
	return c.Connect(ctx, resource)
}

// Behind is the cluster where a resource that is being deleted has left
// something. It need not be Ready, but must be the one that it was. Errors are halts.
func (c *Clusters) Behind(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	switch guard := resource.Spec.ClusterID; {
	case resource.Spec.Suspend:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", resource.Name)
	case guard != "" && guard != resource.Status.ClusterID:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q leads to another cluster than spec.clusterId says", resource.Name)
	}
	return c.current(ctx, resource)
}

// Find reads the KafkaCluster that a resource lives on.
func (c *Clusters) Find(ctx context.Context, recorded string, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, error) {
	name := recorded
	if name == "" && ref != nil {
		name = ref.Name
	}
	if name == "" {
		return c.findDefault(ctx)
	}
	var found v1alpha1.KafkaCluster
	err := c.reader.Get(ctx, client.ObjectKey{Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound, "KafkaCluster %q does not exist; create it, or name another one in spec.clusterRef", name)
	}
	return &found, err
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

func (c *Clusters) allows(ctx context.Context, cluster *v1alpha1.KafkaCluster, namespace string) error {
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

// NamespaceMatches says whether a namespace's labels match a selector.
func (c *Clusters) NamespaceMatches(ctx context.Context, namespace string, by *metav1.LabelSelector) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return false, halt.Stall("InvalidSelector", "the namespace selector is not valid: %v", err)
	}
	var found corev1.Namespace
	if err := c.reader.Get(ctx, client.ObjectKey{Name: namespace}, &found); err != nil {
		return false, err
	}
	return selector.Matches(labels.Set(found.Labels)), nil
}
