package kubelet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/test/env/internal/store"
)

const (
	hashLabel          = appsv1.DefaultDeploymentUniqueLabelKey
	revisionAnnotation = "deployment.kubernetes.io/revision"
)

// syncDeployments plays the Deployment and ReplicaSet controllers once over
// all objects, read from the API server itself so that nothing is made twice.
// It returns all pods as they were before.
func (k *Kubelet) syncDeployments(ctx context.Context) ([]corev1.Pod, error) {
	var deployments appsv1.DeploymentList
	var replicaSets appsv1.ReplicaSetList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&deployments, &replicaSets, &pods} {
		if err := k.client.List(ctx, list); err != nil {
			return nil, err
		}
	}
	setsOf := map[types.UID][]*appsv1.ReplicaSet{}
	for i := range replicaSets.Items {
		if owner := metav1.GetControllerOf(&replicaSets.Items[i]); owner != nil {
			setsOf[owner.UID] = append(setsOf[owner.UID], &replicaSets.Items[i])
		}
	}
	podsOf := map[types.UID][]*corev1.Pod{}
	for i := range pods.Items {
		if owner := metav1.GetControllerOf(&pods.Items[i]); owner != nil {
			podsOf[owner.UID] = append(podsOf[owner.UID], &pods.Items[i])
		}
	}
	for i := range deployments.Items {
		deployment := &deployments.Items[i]
		if deployment.DeletionTimestamp != nil {
			continue
		}
		if err := k.syncDeployment(ctx, deployment, setsOf[deployment.UID], podsOf); err != nil {
			k.log.Error("sync", "deployment", client.ObjectKeyFromObject(deployment), "error", err)
		}
	}
	return pods.Items, nil
}

// syncDeployment brings one Deployment a step further.
func (k *Kubelet) syncDeployment(ctx context.Context, deployment *appsv1.Deployment, sets []*appsv1.ReplicaSet, podsOf map[types.UID][]*corev1.Pod) error {
	hash, err := templateHash(deployment.Spec.Template)
	if err != nil {
		return err
	}
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var current *appsv1.ReplicaSet
	var former []*appsv1.ReplicaSet
	for _, set := range sets {
		if set.Labels[hashLabel] == hash {
			current = set
		} else {
			former = append(former, set)
		}
	}
	if current == nil {
		current = newReplicaSet(deployment, hash, sets)
		if err := k.client.Create(ctx, current); err != nil {
			return fmt.Errorf("create ReplicaSet %s: %w", current.Name, err)
		}
	}

	count := func(set *appsv1.ReplicaSet) scale {
		return scale{replicas: *set.Spec.Replicas, available: countPods(podsOf[set.UID], deployment.Spec.MinReadySeconds).available}
	}
	var formerScales []scale
	for _, set := range former {
		s := count(set)
		if deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			s.replicas = max(s.replicas, int32(len(podsOf[set.UID]))) // pods that are still ending count
		}
		formerScales = append(formerScales, s)
	}
	if !deployment.Spec.Paused {
		next, formerNext := planRollout(deployment.Spec.Strategy, *deployment.Spec.Replicas, count(current), formerScales)
		if err := k.scale(ctx, current, next); err != nil {
			return err
		}
		for i, set := range former {
			if err := k.scale(ctx, set, formerNext[i]); err != nil {
				return err
			}
		}
	}
	var refused error
	for _, set := range append(former, current) {
		if err := k.syncReplicaSet(ctx, set, podsOf[set.UID]); err != nil {
			refused = err
		}
	}
	return errors.Join(refused, k.reportDeployment(ctx, deployment, current, former, podsOf, refused))
}

// templateHash is equal for equal templates.
func templateHash(template corev1.PodTemplateSpec) (string, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return "", err
	}
	hash := fnv.New32a()
	_, _ = hash.Write(text) // never fails
	return strconv.FormatUint(uint64(hash.Sum32()), 16), nil
}

func newReplicaSet(deployment *appsv1.Deployment, hash string, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	revision := 0
	for _, set := range sets {
		n, _ := strconv.Atoi(set.Annotations[revisionAnnotation]) // 0 where it is missing
		revision = max(revision, n)
	}
	template := *deployment.Spec.Template.DeepCopy()
	template.Labels = maps.Clone(template.Labels)
	template.Labels[hashLabel] = hash
	selector := deployment.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[hashLabel] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            deployment.Name + "-" + hash,
			Namespace:       deployment.Namespace,
			Labels:          template.Labels,
			Annotations:     map[string]string{revisionAnnotation: strconv.Itoa(revision + 1)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        ptr.To[int32](0),
			MinReadySeconds: deployment.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        template,
		},
	}
}

func (k *Kubelet) scale(ctx context.Context, set *appsv1.ReplicaSet, replicas int32) error {
	if *set.Spec.Replicas == replicas {
		return nil
	}
	before := set.DeepCopy()
	set.Spec.Replicas = &replicas
	if err := k.client.Patch(ctx, set, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("scale ReplicaSet %s: %w", set.Name, err)
	}
	return nil
}

// podCount counts a ReplicaSet's pods that are not being deleted.
type podCount struct{ replicas, ready, available int32 }

func countPods(pods []*corev1.Pod, minReadySeconds int32) podCount {
	var count podCount
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		count.replicas++
		if ready := condition(pod, corev1.PodReady); ready != nil && ready.Status == corev1.ConditionTrue {
			count.ready++
			if time.Since(ready.LastTransitionTime.Time) >= time.Duration(minReadySeconds)*time.Second {
				count.available++
			}
		}
	}
	return count
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

// syncReplicaSet creates and deletes pods until there are as many as wanted,
// and reports. Its error is the API server's refusal of a pod.
func (k *Kubelet) syncReplicaSet(ctx context.Context, set *appsv1.ReplicaSet, pods []*corev1.Pod) error {
	var alive []*corev1.Pod
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil {
			alive = append(alive, pod)
		}
	}
	count := countPods(pods, set.Spec.MinReadySeconds)
	status := appsv1.ReplicaSetStatus{
		ObservedGeneration:   set.Generation,
		Replicas:             count.replicas,
		FullyLabeledReplicas: count.replicas,
		ReadyReplicas:        count.ready,
		AvailableReplicas:    count.available,
	}
	if !equality.Semantic.DeepEqual(set.Status, status) {
		before := set.DeepCopy()
		set.Status = status
		if err := k.client.Status().Patch(ctx, set, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("report ReplicaSet %s: %w", set.Name, err)
		}
	}

	for range int(*set.Spec.Replicas) - len(alive) {
		if err := k.createPod(ctx, set); err != nil {
			return fmt.Errorf("create a pod of ReplicaSet %s: %w", set.Name, err)
		}
	}
	// Those that serve nobody go first, then the youngest.
	slices.SortFunc(alive, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(countPods([]*corev1.Pod{a}, 0).ready, countPods([]*corev1.Pod{b}, 0).ready),
			b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
		)
	})
	for i := range len(alive) - int(*set.Spec.Replicas) {
		if err := k.client.Delete(ctx, alive[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete pod %s: %w", alive[i].Name, err)
		}
	}
	return nil
}

// createPod creates a pod on this node, with a free port for each of its ports.
func (k *Kubelet) createPod(ctx context.Context, set *appsv1.ReplicaSet) error {
	template := set.Spec.Template.DeepCopy()
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            set.Name + "-" + rand.String(5),
			Namespace:       set.Namespace,
			Labels:          template.Labels,
			Annotations:     template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: template.Spec,
	}
	object.Spec.NodeName = nodeName
	if object.Spec.ServiceAccountName == "" { // what an admission plugin does that needs more controllers than run here
		object.Spec.ServiceAccountName = "default"
	}
	name := client.ObjectKeyFromObject(object)
	var releases []func()
	free := func() (int32, error) {
		port, release, err := store.Port()
		if err != nil {
			return 0, err
		}
		releases = append(releases, release)
		return int32(port), nil
	}
	err := assignPorts(&object.Spec.Containers[0], free)
	k.mu.Lock()
	k.ports[name] = releases
	k.mu.Unlock()
	if err == nil {
		err = k.client.Create(ctx, object)
	}
	if err != nil {
		k.releasePorts(name)
	}
	return err
}

// reportDeployment writes the Deployment's status where it differs.
func (k *Kubelet) reportDeployment(ctx context.Context, deployment *appsv1.Deployment, current *appsv1.ReplicaSet, former []*appsv1.ReplicaSet, podsOf map[types.UID][]*corev1.Pod, refused error) error {
	updated := countPods(podsOf[current.UID], deployment.Spec.MinReadySeconds)
	total := updated
	for _, set := range former {
		count := countPods(podsOf[set.UID], deployment.Spec.MinReadySeconds)
		total.replicas += count.replicas
		total.ready += count.ready
		total.available += count.available
	}
	want := *deployment.Spec.Replicas
	_, unavailable := rollingLimits(deployment.Spec.Strategy.RollingUpdate, want)

	before := deployment.DeepCopy()
	status := &deployment.Status
	status.ObservedGeneration = deployment.Generation
	status.Replicas = total.replicas
	status.UpdatedReplicas = updated.replicas
	status.ReadyReplicas = total.ready
	status.AvailableReplicas = total.available
	status.UnavailableReplicas = max(0, want-total.available)
	if total.available >= want-unavailable {
		setDeploymentCondition(status, appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		setDeploymentCondition(status, appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
	if updated.available == want && total.replicas == want {
		setDeploymentCondition(status, appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", fmt.Sprintf("ReplicaSet %q has successfully progressed.", current.Name))
	} else {
		setDeploymentCondition(status, appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", fmt.Sprintf("ReplicaSet %q is progressing.", current.Name))
	}
	if refused != nil && apierrors.ReasonForError(refused) == metav1.StatusReasonForbidden {
		setDeploymentCondition(status, appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", refused.Error())
	} else {
		status.Conditions = slices.DeleteFunc(status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentReplicaFailure })
	}
	if equality.Semantic.DeepEqual(before.Status, *status) {
		return nil
	}
	if err := k.client.Status().Patch(ctx, deployment, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func setDeploymentCondition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType, value corev1.ConditionStatus, reason, message string) {
	now := metav1.Now()
	next := appsv1.DeploymentCondition{Type: kind, Status: value, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
	i := slices.IndexFunc(status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == kind })
	if i < 0 {
		status.Conditions = append(status.Conditions, next)
		return
	}
	last := status.Conditions[i]
	if last.Status == value && last.Reason == reason && last.Message == message {
		return
	}
	if last.Status == value {
		next.LastTransitionTime = last.LastTransitionTime
	}
	status.Conditions[i] = next
}
