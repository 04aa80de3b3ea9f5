package kafkacluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/policy"
	"github.com/weir-dev/weir/internal/controller/record"
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
	groups, err := r.retryGroups(ctx, cluster, opened)
	if err != nil {
		return err
	}
	var wants grants.Wants
	if worker := cluster.Spec.RetryWorker; worker != nil && len(groups) > 0 {
		wants = estate.Granting(kafka.ReadGroup(worker.Kafka.Principal, estate.RetryGroup(opened.ID)))
	}
	opened.Declare(estate.RefOf(cluster), estate.VersionOf(cluster), wants)
	if len(groups) == 0 {
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
	states, err := worker.States[config.RetryState](ctx, r.Workers, deployment)
	if err != nil {
		return err
	}
	return judgeRetryWorker(states, worker.WhyNoPod(deployment))
}

// judgeRetryWorker returns the halt that says why a retry worker does not
// work; nil if it does. It is pure.
func judgeRetryWorker(states []worker.PodState[config.RetryState], noPod string) error {
	for _, one := range states {
		if one.State != nil && one.State.Phase == config.Active {
			return nil
		}
	}
	for _, one := range states {
		switch {
		case one.State != nil && one.State.Problem != nil:
			return halt.Wait(worker.Reason(one.State.Problem), "%s", one.State.Problem.Message)
		case one.Err != nil:
			return halt.Wait(v1alpha1.ReasonProgressing, "%v", one.Err)
		}
	}
	if noPod != "" {
		return halt.Wait(v1alpha1.ReasonProgressing, "%s", noPod)
	}
	if len(states) > 0 {
		return halt.Wait(v1alpha1.ReasonProgressing, "the worker is starting")
	}
	return halt.Wait(v1alpha1.ReasonProgressing, "waiting for the worker's pod")
}

// retryGroups are the groups of a cluster whose failed records the worker
// moves, ordered by group ID.
func (r *Reconciler) retryGroups(ctx context.Context, cluster *v1alpha1.KafkaCluster, opened *estate.Estate) ([]config.RetryGroup, error) {
	var all v1alpha1.ConsumerGroupList
	if err := r.Client.List(ctx, &all); err != nil {
		return nil, fmt.Errorf("listing consumer groups: %w", err)
	}
	previous, err := r.previousGroups(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var groups []config.RetryGroup
	for i := range all.Items {
		group := &all.Items[i]
		ref := group.Spec.DeadLetterPolicyRef
		id := estate.GroupID(group)
		entry, _ := opened.Entry(record.Key{Kind: record.Group, Name: id})
		if entry.Holder != estate.RefOf(group) || entry.Lane == nil || ref == nil || !group.DeletionTimestamp.IsZero() {
			continue
		}
		var found v1alpha1.DeadLetterPolicy
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: group.Namespace, Name: ref.Name}, &found)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		told, had := previous[id]
		// A policy that is gone, suspended or refused leaves it at what the worker
		// has been told last.
		if err == nil && !found.Spec.Suspend {
			if schedule, err := policy.Schedule(&found); err == nil {
				told, had = retryGroup(group, &found, schedule, entry.Lane.Waits), true
			}
		}
		if had {
			groups = append(groups, told)
		}
	}
	slices.SortFunc(groups, func(a, b config.RetryGroup) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

// previousGroups is what the worker has been told last, keyed by group ID.
func (r *Reconciler) previousGroups(ctx context.Context, cluster *v1alpha1.KafkaCluster) (map[string]config.RetryGroup, error) {
	var deployment appsv1.Deployment
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Clusters.Namespace, Name: RetryWorkerName(cluster.Name)}, &deployment)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files corev1.ConfigMap
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: r.Clusters.Namespace, Name: worker.MountedFiles(deployment.Spec.Template.Spec)}, &files)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var told config.Retry
	if err := json.Unmarshal([]byte(files.Data[config.RetryFile]), &told); err != nil {
		// Somebody edited it; it is about to be rendered anew.
		return nil, nil
	}
	groups := make(map[string]config.RetryGroup, len(told.Groups))
	for _, group := range told.Groups {
		groups[group.Group] = group
	}
	return groups, nil
}

func (r *Reconciler) removeRetryWorker(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
	return worker.Undeploy(ctx, r.Children, cluster, worker.Spec{
		Name: RetryWorkerName(cluster.Name), Namespace: r.Clusters.Namespace, Component: retryComponent,
	})
}
