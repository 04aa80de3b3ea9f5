// Package kafkacluster reconciles KafkaClusters: it connects, tells what the
// cluster is, and runs the retry worker for the groups on it. The connections
// are package pool's.
package kafkacluster

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/ledger"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/worker"
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

// Reconciler connects to a cluster and tells what it is. It comes
// back at its pulse, which is also when a rotated certificate or a changed
// Secret is noticed.
type Reconciler struct {
	Client    client.Client
	Settler   settle.Settler
	Clusters  *pool.Clusters
	Grants    ledger.Granter
	Finalizer release.Finalizer
	// The retry worker of a cluster.
	Children child.Applier
	Workers  worker.Observer
	Image    string
}

var ready = settle.Ready{Reason: v1alpha1.ReasonConnected, Message: "connected to the cluster"}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) (reconcile.Result, error) {
	before := cluster.DeepCopy()
	err := r.reconcile(ctx, before, cluster)
	if err != nil {
		doubtRetryWorker(cluster)
	}
	return r.Settler.Settle(ctx, before, cluster, ready, min(r.Settler.Resync, pulse), err)
}

func (r *Reconciler) reconcile(ctx context.Context, before, cluster *v1alpha1.KafkaCluster) error {
	if !cluster.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, before, cluster)
	}
	if cluster.Spec.Suspend {
		return halt.Suspend()
	}
	if err := r.Finalizer.Hold(ctx, cluster); err != nil {
		return err
	}
	connection, err := r.Clusters.Connect(ctx, cluster)
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
func (r *Reconciler) count(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
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
	made, err := r.Grants.Made(ctx, cluster.Name)
	cluster.Status.ACLBindings = int32(made)
	return err
}

// finalize lets the KafkaCluster go once nothing lives on it any more.
func (r *Reconciler) finalize(ctx context.Context, before, cluster *v1alpha1.KafkaCluster) error {
	if !controllerutil.ContainsFinalizer(cluster, v1alpha1.Finalizer) {
		return nil
	}
	users, err := r.usersOf(ctx, cluster.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 && !release.Forced(cluster) {
		return halt.Wait(v1alpha1.ReasonInUse, "still used by %s; delete them first, or annotate this KafkaCluster with %s=true",
			release.FirstFew(users, 5), v1alpha1.ForceDeleteAnnotation)
	}
	if err := r.revokeRetryWorker(ctx, before, cluster); err != nil {
		return release.OrForce(err)
	}
	if err := r.Finalizer.Drop(ctx, cluster); err != nil {
		return err
	}
	r.Forget(cluster)
	return nil
}

// Forget drops what is kept in memory for a KafkaCluster that is gone.
func (r *Reconciler) Forget(cluster *v1alpha1.KafkaCluster) {
	r.Clusters.Forget(cluster.Name)
	r.Children.Forget(cluster)
	r.Grants.ForgetCluster(cluster.Name)
}

// usersOf names the resources that live on a cluster.
func (r *Reconciler) usersOf(ctx context.Context, cluster string) ([]string, error) {
	var users []string
	err := pool.EachOn(ctx, r.Client, cluster, func(owner client.Object) error {
		if _, self := owner.(*v1alpha1.KafkaCluster); !self {
			users = append(users, release.Describe(r.Client, owner))
		}
		return nil
	})
	return users, err
}
