// Package kafkacluster reconciles KafkaClusters: it connects, tells what the
// cluster is, and runs the retry worker for the groups on it. The connections
// are package pool's.
package kafkacluster

import (
	"cmp"
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
)

// +kubebuilder:rbac:groups=weir.dev,resources=kafkaclusters,verbs=list;watch;patch
// +kubebuilder:rbac:groups=weir.dev,resources=kafkaclusters/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// pulse is how often a cluster is asked whether it is there, at most: resources
// on it are Ready for no longer than that, and the deadline of a request, after
// it has gone.
const pulse = 10 * time.Second

// settlingPulse is the same while the retry worker has not read yet what it was
// told, or drains a lane.
const settlingPulse = time.Second

// Reconciler connects to a cluster and tells what it is. It comes
// back at its pulse, which is also when a rotated certificate or a changed
// Secret is noticed.
type Reconciler struct {
	Client    client.Client
	Settler   settle.Settler
	Clusters  *pool.Clusters
	Estates   *estate.Estates
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
	err := r.reconcile(ctx, cluster)
	if err != nil {
		doubtRetryWorker(cluster)
	}
	again := pulse
	if opened := r.Estates.Of(cluster.Name); opened != nil && opened.Settling() {
		again = settlingPulse
	}
	return r.Settler.Settle(ctx, before, cluster, ready, min(r.Settler.Resync, again), err)
}

func (r *Reconciler) reconcile(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
	// Nothing has to go with a KafkaCluster; earlier versions held a finalizer.
	if err := r.Finalizer.Drop(ctx, cluster); err != nil {
		return err
	}
	if !cluster.DeletionTimestamp.IsZero() || cluster.Spec.Suspend {
		r.Estates.Suspend(cluster.Name)
		return halt.Suspend()
	}
	connection, err := r.Clusters.Connect(ctx, cluster)
	if err != nil {
		return err
	}
	description, describeErr := connection.Describe(ctx)
	if is := kafka.Classify(describeErr); is != nil && is.Reason == kafka.ClusterIDMismatch {
		return halt.Kafka(describeErr) // status goes on to name the cluster that is meant
	}
	// What Weir owns is known while Kafka does not answer.
	var opened *estate.Estate
	if id := cmp.Or(description.ClusterID, r.Estates.Recorded(cluster.Name)); id != "" {
		if opened, err = r.open(ctx, cluster, id); err != nil {
			return err
		}
	}
	if description.ClusterID != "" {
		cluster.Status.ClusterID = description.ClusterID
		cluster.Status.Brokers = int32(description.Brokers)
	}
	if describeErr != nil {
		return halt.Kafka(describeErr)
	}
	cluster.Status.Authorizer = v1alpha1.AuthorizerDisabled
	if description.Authorizer {
		cluster.Status.Authorizer = v1alpha1.AuthorizerEnabled
	}
	if err := r.ensureRetryWorker(ctx, cluster, opened); err != nil {
		return err
	}
	return report(cluster, opened)
}

// Forget drops what is kept in memory for a KafkaCluster that is gone.
func (r *Reconciler) Forget(cluster client.Object) {
	r.Clusters.Forget(cluster.GetName())
	r.Children.Forget(cluster)
}
