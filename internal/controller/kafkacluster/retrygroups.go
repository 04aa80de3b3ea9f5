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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/policy"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

// retryGroups are the groups of a cluster whose failed records the worker moves,
// and those whose lanes it drains, ordered by group ID.
func (r *Reconciler) retryGroups(ctx context.Context, cluster *v1alpha1.KafkaCluster, opened *estate.Estate) ([]config.RetryGroup, error) {
	previous, err := r.previousGroups(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var groups []config.RetryGroup
	for key, entry := range opened.Entries(func(_ record.Key, entry record.Entry) bool {
		return entry.Lane != nil && entry.Lane.Drain != record.Drained
	}) {
		if entry.Lane.Draining() {
			groups = append(groups, estate.ToldToDrain(key, entry))
			continue
		}
		told, err := r.told(ctx, opened, key, entry)
		if err != nil {
			return nil, err
		}
		if told != nil {
			groups = append(groups, *told)
		} else if told, had := previous[key.Name]; had && told.Draining == "" {
			groups = append(groups, told)
		}
	}
	for _, told := range previous {
		keeps, err := r.outlivesTheRecord(ctx, opened, told)
		if err != nil {
			return nil, err
		}
		if keeps {
			groups = append(groups, told)
		}
	}
	slices.SortFunc(groups, func(a, b config.RetryGroup) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

// told is what the worker is to know of a group; nil where nothing says so now: the
// group or its policy is gone, or the policy is suspended or refused. Then it is
// left at what it has been told last.
func (r *Reconciler) told(ctx context.Context, opened *estate.Estate, key record.Key, entry record.Entry) (*config.RetryGroup, error) {
	var group v1alpha1.ConsumerGroup
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: entry.Holder.Namespace, Name: entry.Holder.Name}, &group)
	if apierrors.IsNotFound(err) {
		return nil, opened.Absent(key)
	}
	if err != nil {
		return nil, err
	}
	opened.Present(key)
	ref := group.Spec.DeadLetterPolicyRef
	if ref == nil || estate.GroupID(&group) != key.Name {
		return nil, nil
	}
	var found v1alpha1.DeadLetterPolicy
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: group.Namespace, Name: ref.Name}, &found)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if found.Spec.Suspend {
		return nil, nil
	}
	schedule, err := policy.Schedule(&found)
	if err != nil {
		return nil, nil
	}
	told := estate.Told(&group, &found, schedule, entry.Lane.Waits)
	return &told, nil
}

// outlivesTheRecord says whether the worker goes on for a group of which the record
// has no lane, since it was lost and the group has not declared it again.
func (r *Reconciler) outlivesTheRecord(ctx context.Context, opened *estate.Estate, told config.RetryGroup) (bool, error) {
	entry, _ := opened.Entry(record.Key{Kind: record.Group, Name: told.Group})
	namespace, name, _ := strings.Cut(told.Name, "/")
	ref := record.Ref{Kind: estate.KindGroup, Namespace: namespace, Name: name}
	if entry.Lane != nil || told.Draining != "" || !opened.Rebuilt(ref) {
		return false, nil
	}
	var group v1alpha1.ConsumerGroup
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &group); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return group.Spec.DeadLetterPolicyRef != nil && estate.GroupID(&group) == told.Group, nil
}

// previousGroups is what the worker has been told last, keyed by group ID.
func (r *Reconciler) previousGroups(ctx context.Context, cluster *v1alpha1.KafkaCluster) (map[string]config.RetryGroup, error) {
	var deployment appsv1.Deployment
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Clusters.Namespace, Name: RetryWorkerName(cluster.Name)}, &deployment)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	groups := map[string]config.RetryGroup{}
	for _, name := range worker.MountedFiles(deployment.Spec.Template.Spec) {
		var files corev1.ConfigMap
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Clusters.Namespace, Name: name}, &files)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what the retry worker was told: %w", err)
		}
		for name, text := range files.Data {
			var told config.RetryGroup
			// Where somebody edited it, it is about to be rendered anew.
			if config.IsGroupFile(name) && json.Unmarshal([]byte(text), &told) == nil && config.GroupFile(told.Group) == name {
				groups[told.Group] = told
			}
		}
	}
	return groups, nil
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

// retriesOf is what the workers that answer say together of the groups that they
// were told of; nil where none answers. It is pure.
func retriesOf(states []worker.PodState[config.RetryState], groups []config.RetryGroup) map[string]estate.Retry {
	states = slices.DeleteFunc(slices.Clone(states), func(one worker.PodState[config.RetryState]) bool { return one.State == nil })
	if len(states) == 0 {
		return nil
	}
	all := make(map[string]estate.Retry, len(groups))
	for _, group := range groups {
		all[group.Group] = retryOf(states, config.GroupFile(group.Group))
	}
	return all
}

func retryOf(states []worker.PodState[config.RetryState], file string) estate.Retry {
	var all estate.Retry
	for i, one := range states {
		said := one.State.Groups[file]
		if i == 0 {
			all.Digest, all.Waiting = said.Digest, said.Waiting
		} else if said.Digest != all.Digest {
			all.Digest = ""
		}
		if all.Problem == nil && said.Problem != nil {
			all.Problem = &config.Problem{Reason: worker.Reason(said.Problem), Message: said.Problem.Message, Since: said.Problem.Since}
		}
	}
	return all
}
