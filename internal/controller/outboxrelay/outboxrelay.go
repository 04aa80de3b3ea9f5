// Package outboxrelay reconciles OutboxRelays: it renders the worker that
// publishes an outbox table, grants its principal what it needs, and judges what
// its pods say. The rows are nothing to it: cmd/relay moves them.
package outboxrelay

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/weir-dev/weir/internal/relay/config"
)

// +kubebuilder:rbac:groups=weir.dev,resources=outboxrelays,verbs=list;watch;patch
// +kubebuilder:rbac:groups=weir.dev,resources=outboxrelays/status,verbs=patch
// +kubebuilder:rbac:groups=weir.dev,resources=outboxrelays/finalizers,verbs=update

// Reconciler runs a relay worker for every OutboxRelay and tells
// what it does. It comes back at the poll interval to read the worker's state.
type Reconciler struct {
	Client    client.Client
	Settler   settle.Settler
	Clusters  *pool.Clusters
	Estates   *estate.Estates
	Finalizer release.Finalizer
	Children  child.Applier
	Workers   worker.Observer
	// Image of the workers.
	Image string
	// Poll is how often a worker's state is read.
	Poll    time.Duration
	Numbers *settle.Numbers
	Secrets *RememberedSecrets
}

var ready = settle.Ready{Reason: v1alpha1.ReasonReady, Message: "publishing, or nothing to publish"}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, relay *v1alpha1.OutboxRelay) (reconcile.Result, error) {
	before := relay.DeepCopy()
	err := r.reconcile(ctx, relay)
	if !r.Numbers.Due(before, relay, ready, err) {
		keepNumbers(before, relay)
	}
	return r.Settler.Settle(ctx, before, relay, ready, r.Poll, err)
}

func (r *Reconciler) reconcile(ctx context.Context, relay *v1alpha1.OutboxRelay) error {
	// Nothing has to go with a relay; earlier versions held a finalizer.
	if err := r.Finalizer.Drop(ctx, relay); err != nil {
		return err
	}
	if !relay.DeletionTimestamp.IsZero() {
		return r.Estates.Gone(ctx, estate.RefOf(relay), true)
	}
	if relay.Spec.Suspend {
		return r.suspend(ctx, relay)
	}
	deployment, rollErr := r.roll(ctx, relay)
	if h, ok := halt.As(rollErr); ok && h.Kind == halt.Undecided {
		return rollErr
	}
	if deployment == nil {
		// The last good worker, if there is one, runs on.
		var err error
		if deployment, err = r.lastDeployment(ctx, relay); deployment == nil {
			return halt.Together(rollErr, err)
		}
	}
	relay.Status.Workload = worker.Status(deployment)
	states, err := worker.States[config.OutboxState](ctx, r.Workers, deployment)
	if err != nil {
		return halt.Together(rollErr, err)
	}
	return halt.Soon(r.Poll, weigh(relay, deployment, rollErr, judge(relay, states, worker.WhyNoPod(deployment))))
}

// weigh decides between why a pass could not roll the worker and what the
// worker says. Where only the way from the operator to Kafka is troubled, and
// the worker has the spec of now, the worker knows better.
func weigh(relay *v1alpha1.OutboxRelay, deployment *appsv1.Deployment, rollErr, verdict error) error {
	h, halted := halt.As(rollErr)
	switch {
	case rollErr == nil:
		return verdict
	case halted && (h.Reason == v1alpha1.ReasonClusterNotReady || h.Reason == kafka.Unreachable) && worker.RolledGeneration(deployment) == relay.Generation:
		return verdict
	default:
		return rollErr
	}
}

// suspend leaves the worker and what it was granted as they are.
func (r *Reconciler) suspend(ctx context.Context, relay *v1alpha1.OutboxRelay) error {
	place, err := r.Estates.On(ctx, relay)
	if err != nil {
		return halt.SuspendedOr(true, err)
	}
	if referred, err := r.Estates.Resolve(ctx, place, topicsRouted(relay), relay.Namespace, estate.ToProduce); referred != nil {
		return halt.Together(r.keep(ctx, place, relay, referred), halt.Suspend())
	} else if err != nil {
		return err
	}
	return halt.Suspend()
}

// roll makes the worker and its grants what the spec asks for, and returns its
// Deployment, nil where the pass ended before.
func (r *Reconciler) roll(ctx context.Context, relay *v1alpha1.OutboxRelay) (*appsv1.Deployment, error) {
	place, err := r.Estates.On(ctx, relay)
	if err != nil {
		return nil, err
	}
	// All references are checked before anything is rolled: a broken one
	// leaves the last good worker running.
	referred, err := r.Estates.Resolve(ctx, place, topicsRouted(relay), relay.Namespace, estate.ToProduce)
	if referred == nil && err != nil {
		return nil, err
	}
	if err != nil {
		return nil, halt.Together(err, r.keep(ctx, place, relay, referred))
	}
	rendered, err := r.render(ctx, relay, place.Resource, referred)
	if err != nil {
		return nil, halt.Together(err, r.keep(ctx, place, relay, referred))
	}
	relay.Status.Cluster = place.Resource.Name
	if err := r.grant(ctx, place, relay, referred, rendered); err != nil {
		return nil, err
	}
	relay.Status.CaptureMode = relay.Spec.Capture.Mode
	return worker.Deploy(ctx, r.Children, relay, rendered)
}

// lastDeployment is the worker's Deployment as it is, nil if there is none.
func (r *Reconciler) lastDeployment(ctx context.Context, relay *v1alpha1.OutboxRelay) (*appsv1.Deployment, error) {
	var deployment appsv1.Deployment
	key := client.ObjectKey{Namespace: relay.Namespace, Name: workerName(relay)}
	err := r.Client.Get(ctx, key, &deployment)
	if apierrors.IsNotFound(err) || (err == nil && !metav1.IsControlledBy(&deployment, relay)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Deployment %s: %w", key, err)
	}
	return &deployment, nil
}

// topicsRouted are a relay's references to Topics.
func topicsRouted(relay *v1alpha1.OutboxRelay) []estate.Reference {
	var references []estate.Reference
	for i, route := range relay.Spec.Routes {
		references = append(references, estate.Reference{TopicReference: route.TopicRef, Field: fmt.Sprintf("spec.routes[%d].topicRef", i)})
	}
	return references
}

// render renders a relay's worker, once its Secrets have what it needs.
func (r *Reconciler) render(ctx context.Context, relay *v1alpha1.OutboxRelay, cluster *v1alpha1.KafkaCluster, referred []estate.Referred) (worker.Spec, error) {
	secrets, err := r.Secrets.remembered(relay, cluster, func() (relaySecrets, error) {
		return r.readSecrets(ctx, relay, cluster)
	})
	if err != nil {
		return worker.Spec{}, err
	}
	var names []string
	for _, one := range referred {
		names = append(names, one.Name)
	}
	return render(relay, cluster, names, secrets.keys, secrets.authority, r.Image)
}

func (r *Reconciler) readSecrets(ctx context.Context, relay *v1alpha1.OutboxRelay, cluster *v1alpha1.KafkaCluster) (found relaySecrets, err error) {
	database := relay.Spec.Database.ConnectionSecretRef
	if err := r.Clusters.CheckSecret(ctx, relay.Namespace, database.Name, "spec.database.connectionSecretRef", database.Key); err != nil {
		return found, err
	}
	found.keys, err = r.Clusters.CredentialKeys(ctx, cluster, relay.Namespace, relay.Spec.Kafka.CredentialsSecretRef.Name, "spec.kafka.credentialsSecretRef")
	if err != nil {
		return found, err
	}
	found.authority, err = r.Clusters.Authority(ctx, cluster.Spec.TLS)
	return found, err
}

// keepNumbers leaves the volatile numbers of status as they were.
func keepNumbers(before, relay *v1alpha1.OutboxRelay) {
	relay.Status.PendingRows = before.Status.PendingRows
	relay.Status.OldestPendingSeconds = before.Status.OldestPendingSeconds
	relay.Status.LastPublishedTime = before.Status.LastPublishedTime
}

// Forget drops what is kept in memory for a relay that is gone.
func (r *Reconciler) Forget(relay client.Object) {
	r.Numbers.Forget(relay)
	r.Children.Forget(relay)
	r.Secrets.forget(relay)
}
