package worker

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strconv"

	"github.com/weir-dev/weir/internal/controller/child"
)

// Deploy applies a worker's ConfigMaps and Deployment, and returns the latter as
// it is rendered, with the status that it had.
func Deploy(ctx context.Context, c child.Applier, owner client.Object, w Spec) (*appsv1.Deployment, error) {
	for _, files := range w.ConfigMaps() {
		if err := c.Apply(ctx, owner, files, &corev1.ConfigMap{}); err != nil {
			return nil, err
		}
	}
	was, deployment := &appsv1.Deployment{}, w.Deployment()
	if err := c.Apply(ctx, owner, deployment, was); err != nil {
		return nil, err
	}
	deployment.Status = was.Status
	if w.Followed {
		if err := refresh(ctx, c.Client, w); err != nil {
			return nil, err
		}
	}
	return deployment, dropOldFiles(ctx, c, owner, w)
}

// refresh has the files of a worker's pods brought up to date at once: a kubelet
// does that within a minute or so, and when an annotation of the pod changes
// (https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/).
func refresh(ctx context.Context, c client.Client, w Spec) error {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(w.Namespace), client.MatchingLabels(w.labels())); err != nil {
		return fmt.Errorf("listing the worker's pods: %w", err)
	}
	digest := child.Digest(joined(w.Files))
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Annotations[FilesAnnotation] == digest || !pod.DeletionTimestamp.IsZero() {
			continue
		}
		patched := pod.DeepCopy()
		metav1.SetMetaDataAnnotation(&patched.ObjectMeta, FilesAnnotation, digest)
		err := c.Patch(ctx, patched, client.MergeFrom(pod))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("telling pod %s of its new files: %w", pod.Name, err)
		}
	}
	return nil
}

// Files are the ConfigMaps of a worker, those of earlier specs among them.
func Files(ctx context.Context, c child.Applier, owner client.Object, w Spec) ([]corev1.ConfigMap, error) {
	var files corev1.ConfigMapList
	if err := c.Client.List(ctx, &files, client.InNamespace(w.Namespace), client.MatchingLabels(w.labels())); err != nil {
		return nil, fmt.Errorf("listing the worker's files: %w", err)
	}
	return slices.DeleteFunc(files.Items, func(file corev1.ConfigMap) bool { return !child.Owned(&file, owner) }), nil
}

// dropOldFiles deletes the ConfigMaps of a worker that no pod mounts any more:
// they are named by their content, and a pod that restarts needs those that it
// started with.
func dropOldFiles(ctx context.Context, c child.Applier, owner client.Object, w Spec) error {
	here, labels := client.InNamespace(w.Namespace), client.MatchingLabels(w.labels())
	old, err := Files(ctx, c, owner, w)
	if err != nil {
		return err
	}
	current := w.FilesNames()
	old = slices.DeleteFunc(old, func(file corev1.ConfigMap) bool { return slices.Contains(current, file.Name) })
	if len(old) == 0 {
		return nil
	}
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, here, labels); err != nil {
		return fmt.Errorf("listing the worker's pods: %w", err)
	}
	// As long as no pod is ready with the new files, the old ReplicaSet may have
	// to make another one.
	needed, rolled := map[string]bool{}, w.Replicas == 0
	for _, pod := range pods.Items {
		names := MountedFiles(pod.Spec)
		for _, name := range names {
			needed[name] = true
		}
		rolled = rolled || slices.Equal(names, current) && isPodReady(&pod)
	}
	for i := range old {
		if !rolled || needed[old[i].Name] {
			continue
		}
		if err := c.Remove(ctx, owner, &old[i]); err != nil {
			return fmt.Errorf("deleting ConfigMap %s: %w", old[i].Name, err)
		}
	}
	return nil
}

// Undeploy deletes a worker's Deployment and its files.
func Undeploy(ctx context.Context, c child.Applier, owner client.Object, w Spec) error {
	if err := c.Remove(ctx, owner, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}}); err != nil {
		return err
	}
	files, err := Files(ctx, c, owner, w)
	if err != nil {
		return err
	}
	for i := range files {
		if err := c.Remove(ctx, owner, &files[i]); err != nil {
			return err
		}
	}
	return nil
}

func isPodReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// RolledGeneration is the generation of its owner that a Deployment was
// rendered from; −1 if it does not say.
func RolledGeneration(deployment *appsv1.Deployment) int64 {
	generation, err := strconv.ParseInt(deployment.Annotations[GenerationAnnotation], 10, 64)
	if err != nil {
		return -1
	}
	return generation
}
