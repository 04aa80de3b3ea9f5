package kubelet

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// collected are the kinds whose objects go when their owners have gone.
var collected = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Version: "v1", Kind: "Pod"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "ServiceAccount"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "monitoring.coreos.com", Version: "v1", Kind: "PrometheusRule"},
}

// collectLoop plays the garbage collector, for background deletion.
func (k *Kubelet) collectLoop(ctx context.Context) {
	tick := time.NewTicker(collectInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		owners := map[types.UID]bool{} // whether it exists, as far as asked in this round
		for _, kind := range collected {
			if err := k.collect(ctx, kind, owners); err != nil && ctx.Err() == nil {
				k.log.Error("collect garbage", "kind", kind.Kind, "error", err)
			}
		}
	}
}

// collect deletes the objects of a kind that have owners of which none exists.
func (k *Kubelet) collect(ctx context.Context, kind schema.GroupVersionKind, owners map[types.UID]bool) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind)
	if err := k.client.List(ctx, list); meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil // a kind of which the API server has no CRD
	} else if err != nil {
		return err
	}
	for i := range list.Items {
		object := &list.Items[i]
		if len(object.OwnerReferences) == 0 || object.DeletionTimestamp != nil {
			continue
		}
		orphan := true
		for _, owner := range object.OwnerReferences {
			exists, asked := owners[owner.UID]
			if !asked {
				var err error
				if exists, err = k.exists(ctx, object.Namespace, owner); err != nil {
					return err
				}
				owners[owner.UID] = exists
			}
			orphan = orphan && !exists
		}
		if !orphan {
			continue
		}
		object.SetGroupVersionKind(kind)
		k.log.Info("collect garbage", "kind", kind.Kind, "namespace", object.Namespace, "name", object.Name)
		err := k.client.Delete(ctx, object, client.Preconditions{UID: &object.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// exists asks the API server for an owner, in the dependent's namespace or
// cluster-wide. An owner of an unknown kind counts as existing.
func (k *Kubelet) exists(ctx context.Context, namespace string, owner metav1.OwnerReference) (bool, error) {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind))
	namespaced, err := k.client.IsObjectNamespaced(object)
	if err != nil {
		return true, nil //nolint:nilerr // its CRD is not there: say nothing about its objects
	}
	key := client.ObjectKey{Name: owner.Name}
	if namespaced {
		key.Namespace = namespace
	}
	switch err := k.client.Get(ctx, key, object); {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return object.UID == owner.UID, nil
}
