package controller

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deploy applies a worker's ConfigMap and Deployment, and returns the latter as
// it is rendered, with the status that it had.
func (c children) deploy(ctx context.Context, owner client.Object, w worker) (*appsv1.Deployment, error) {
	if err := c.apply(ctx, owner, w.configMap(), &corev1.ConfigMap{}); err != nil {
		return nil, err
	}
	was, deployment := &appsv1.Deployment{}, w.deployment()
	if err := c.apply(ctx, owner, deployment, was); err != nil {
		return nil, err
	}
	deployment.Status = was.Status
	return deployment, c.dropOldFiles(ctx, owner, w)
}

// dropOldFiles deletes the ConfigMaps of a worker that no pod mounts any more:
// they are named by their content, and a pod that restarts needs those that it
// started with.
func (c children) dropOldFiles(ctx context.Context, owner client.Object, w worker) error {
	here, labels := client.InNamespace(w.namespace), client.MatchingLabels(w.labels())
	var files corev1.ConfigMapList
	if err := c.client.List(ctx, &files, here, labels); err != nil {
		return fmt.Errorf("listing the worker's files: %w", err)
	}
	old := slices.DeleteFunc(files.Items, func(file corev1.ConfigMap) bool {
		return file.Name == w.filesName() || !metav1.IsControlledBy(&file, owner)
	})
	if len(old) == 0 {
		return nil
	}
	var pods corev1.PodList
	if err := c.client.List(ctx, &pods, here, labels); err != nil {
		return fmt.Errorf("listing the worker's pods: %w", err)
	}
	// As long as no pod is ready with the new files, the old ReplicaSet may have
	// to make another one.
	needed, rolled := map[string]bool{}, w.replicas == 0
	for _, pod := range pods.Items {
		name := mountedFiles(pod.Spec)
		needed[name] = true
		rolled = rolled || name == w.filesName() && isPodReady(&pod)
	}
	for i := range old {
		if !rolled || needed[old[i].Name] {
			continue
		}
		if err := c.remove(ctx, owner, &old[i]); err != nil {
			return fmt.Errorf("deleting ConfigMap %s: %w", old[i].Name, err)
		}
	}
	return nil
}

// undeploy deletes a worker's Deployment and its files.
func (c children) undeploy(ctx context.Context, owner client.Object, w worker) error {
	if err := c.remove(ctx, owner, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: w.name}}); err != nil {
		return err
	}
	var files corev1.ConfigMapList
	if err := c.client.List(ctx, &files, client.InNamespace(w.namespace), client.MatchingLabels(w.labels())); err != nil {
		return fmt.Errorf("listing the worker's files: %w", err)
	}
	for i := range files.Items {
		if err := c.remove(ctx, owner, &files.Items[i]); err != nil {
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
