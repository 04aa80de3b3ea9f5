package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// +kubebuilder:rbac:groups=weir.dev,resources=kafkaclusters,verbs=list;watch;patch
// +kubebuilder:rbac:groups=weir.dev,resources=kafkaclusters/status,verbs=patch
// +kubebuilder:rbac:groups=weir.dev,resources=kafkaclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// pulse is how often a cluster is asked whether it is there, at most: resources
// on it are Ready for no longer than that, and the deadline of a request, after
// it has gone.
const pulse = 10 * time.Second

// KafkaClusterReconciler connects to a cluster and tells what it is. It comes
// back at its pulse, which is also when a rotated certificate or a changed
// Secret is noticed.
type KafkaClusterReconciler struct {
	base
	retry retryWorkers
}

var clusterReady = settle.Ready{Reason: v1alpha1.ReasonConnected, Message: "connected to the cluster"}

// Reconcile makes one pass.
func (r *KafkaClusterReconciler) Reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) (reconcile.Result, error) {
	before := cluster.DeepCopy()
	err := r.reconcile(ctx, before, cluster)
	return r.Settle(ctx, before, cluster, clusterReady, min(r.Resync, pulse), err)
}

func (r *KafkaClusterReconciler) reconcile(ctx context.Context, before, cluster *v1alpha1.KafkaCluster) error {
	if !cluster.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, before, cluster)
	}
	if cluster.Spec.Suspend {
		return halt.Suspend()
	}
	if err := r.holdFinalizer(ctx, cluster); err != nil {
		return err
	}
	connection, err := r.clusters.connect(ctx, cluster)
	if err != nil {
		return err
	}
	description, err := connection.Describe(ctx)
	if is := kafka.Classify(err); is != nil && is.Reason == kafka.ClusterIDMismatch {
		return halt.Kafka(err) // status goes on to name the cluster that is meant
	}
	if description.ClusterID != "" {
		cluster.Status.ClusterID = description.ClusterID
		cluster.Status.Brokers = int32(description.Brokers)
	}
	if err != nil {
		return halt.Kafka(err)
	}
	cluster.Status.Authorizer = v1alpha1.AuthorizerDisabled
	if description.Authorizer {
		cluster.Status.Authorizer = v1alpha1.AuthorizerEnabled
	}
	if err := r.ensureRetryWorker(ctx, before, cluster, connection); err != nil {
		return err
	}
	return r.count(ctx, cluster)
}

// count sums up what Weir has on the cluster.
func (r *KafkaClusterReconciler) count(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
	var topics v1alpha1.TopicList
	if err := r.Client.List(ctx, &topics); err != nil {
		return err
	}
	cluster.Status.Topics = 0
	for _, topic := range topics.Items {
		if topic.Status.Cluster == cluster.Name && topic.Status.TopicName != "" {
			cluster.Status.Topics++
		}
	}
	made, err := r.ledger.made(ctx, cluster.Name)
	cluster.Status.ACLBindings = int32(made)
	return err
}

// finalize lets the KafkaCluster go once nothing lives on it any more.
func (r *KafkaClusterReconciler) finalize(ctx context.Context, before, cluster *v1alpha1.KafkaCluster) error {
	if !controllerutil.ContainsFinalizer(cluster, v1alpha1.Finalizer) {
		return nil
	}
	users, err := r.usersOf(ctx, cluster.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 && !forced(cluster) {
		return halt.Wait(v1alpha1.ReasonInUse, "still used by %s; delete them first, or annotate this KafkaCluster with %s=true",
			firstFew(users, 5), v1alpha1.ForceDeleteAnnotation)
	}
	if err := r.revokeRetryWorker(ctx, before, cluster); err != nil {
		return orForce(err)
	}
	if err := r.dropFinalizer(ctx, cluster); err != nil {
		return err
	}
	r.clusters.forget(cluster.Name)
	r.retry.left.forget(cluster)
	r.ledger.forgetCluster(cluster.Name)
	return nil
}

// usersOf names the resources that live on a cluster.
func (r *KafkaClusterReconciler) usersOf(ctx context.Context, cluster string) ([]string, error) {
	var users []string
	err := eachOwner(ctx, r.Client, func(owner settle.Object) error {
		if _, self := owner.(*v1alpha1.KafkaCluster); !self && clusterOf(owner) == cluster {
			users = append(users, describeObject(r.Client, owner))
		}
		return nil
	})
	return users, err
}

// firstFew joins names in their order, and counts those after the first few.
func firstFew(names []string, few int) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// describeObject is "Kind namespace/name".
func describeObject(c client.Client, obj client.Object) string {
	kind := "object"
	if gvk, err := c.GroupVersionKindFor(obj); err == nil {
		kind = gvk.Kind
	}
	return kind + " " + strings.TrimPrefix(client.ObjectKeyFromObject(obj).String(), "/")
}
