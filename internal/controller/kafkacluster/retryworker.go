package kafkacluster

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// ensureRetryWorker makes the retry worker follow the groups of a cluster, and
// says in RetryWorkerReady how it is. A worker that cannot run is no reason
// for the cluster not to be Ready: topics do not need it. What it needs on the
// dead letter topics of a group that group declares.
func (r *Reconciler) ensureRetryWorker(ctx context.Context, cluster *v1alpha1.KafkaCluster, opened *estate.Estate) error {
	principal := ""
	if spec := cluster.Spec.RetryWorker; spec != nil {
		principal = spec.Kafka.Principal
	}
	opened.SetWorker(principal)
	groups, err := r.retryGroups(ctx, cluster, opened)
	if err != nil {
		return err
	}
	if _, err := retrySecret(cluster, r.Clusters.Namespace); err != nil {
		// Lanes that are drained wait for a worker, and their groups have nobody
		// who would miss it.
		groups = slices.DeleteFunc(groups, func(group config.RetryGroup) bool { return group.Draining != "" })
	}
	var wants grants.Wants
	if principal != "" && len(groups) > 0 {
		wants = estate.Granting(kafka.ReadGroup(principal, estate.RetryGroup(opened.ID)))
	}
	opened.Declare(estate.RefOf(cluster), estate.VersionOf(cluster), wants)
	if len(groups) == 0 {
		if err := opened.SetRetries(nil, nil); err != nil {
			return err
		}
		cluster.Status.RetryWorker = nil
		meta.RemoveStatusCondition(&cluster.Status.Conditions, v1alpha1.ConditionRetryWorkerReady)
		return r.removeRetryWorker(ctx, cluster)
	}
	err = r.runRetryWorker(ctx, cluster, opened, groups)
	h, halted := halt.As(err)
	switch {
	case err == nil:
		settle.SetCondition(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "moving failed records, or nothing to move")
	case halted:
		settle.SetCondition(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionFalse, h.Reason, h.Message)
	default:
		return err
	}
	return nil
}

// doubtRetryWorker says that nobody looks at the worker now, where it was last
// seen working.
func doubtRetryWorker(cluster *v1alpha1.KafkaCluster) {
	if meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionRetryWorkerReady) {
		settle.SetCondition(cluster, v1alpha1.ConditionRetryWorkerReady, metav1.ConditionUnknown, v1alpha1.ReasonClusterNotReady, "it is not looked at now; see Ready")
	}
}

// runRetryWorker applies the worker and reads its state. Halts say why it does
// not work.
func (r *Reconciler) runRetryWorker(ctx context.Context, cluster *v1alpha1.KafkaCluster, opened *estate.Estate, groups []config.RetryGroup) error {
	secret, err := retrySecret(cluster, r.Clusters.Namespace)
	if err != nil {
		cluster.Status.RetryWorker = nil
		if err := r.removeRetryWorker(ctx, cluster); err != nil {
			return err
		}
		return err
	}
	var keys []string
	if secret != "" {
		if keys, err = r.Clusters.CredentialKeys(ctx, cluster, r.Clusters.Namespace, secret, "spec.retryWorker.kafka.credentialsSecretRef"); err != nil {
			return err
		}
	}
	authority, err := r.Clusters.Authority(ctx, cluster.Spec.TLS)
	if err != nil {
		return err
	}
	rendered, err := renderRetryWorker(cluster, opened.ID, groups, secret, keys, authority, r.Clusters.Namespace, r.Image)
	if err != nil {
		return err
	}
	deployment, err := worker.Deploy(ctx, r.Children, cluster, rendered)
	if err != nil {
		return err
	}
	cluster.Status.RetryWorker = worker.Status(deployment)
	if err := r.removeEarlierWorkers(ctx, cluster, opened.ID); err != nil {
		return err
	}
	states, err := worker.States[config.RetryState](ctx, r.Workers, deployment)
	if err != nil {
		return err
	}
	if err := opened.SetRetries(groups, retriesOf(states, groups)); err != nil {
		return err
	}
	return judgeRetryWorker(states, worker.WhyNoPod(deployment))
}

func (r *Reconciler) removeRetryWorker(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
	return worker.Undeploy(ctx, r.Children, cluster, worker.Spec{
		Name: RetryWorkerName(cluster.Name), Namespace: r.Clusters.Namespace, Component: retryComponent,
	})
}

// removeEarlierWorkers removes the retry workers of KafkaClusters that led to the
// same Kafka cluster and are gone: they outlived these, and this one has taken over.
func (r *Reconciler) removeEarlierWorkers(ctx context.Context, cluster *v1alpha1.KafkaCluster, id string) error {
	var all appsv1.DeploymentList
	if err := r.Client.List(ctx, &all, client.InNamespace(r.Clusters.Namespace), client.MatchingLabels{retryGroupLabel: estate.RetryGroup(id)}); err != nil {
		return fmt.Errorf("listing retry workers: %w", err)
	}
	for i := range all.Items {
		of, ok := ClusterOfWorker(&all.Items[i])
		if !ok || of == cluster.Name {
			continue
		}
		err := r.Client.Get(ctx, client.ObjectKey{Name: of}, &v1alpha1.KafkaCluster{})
		if err == nil {
			continue // it says itself what becomes of its worker
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		gone := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: of}}
		if err := r.removeRetryWorker(ctx, gone); err != nil {
			return err
		}
	}
	return nil
}
