package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// container is the manager's in its pod, where a mesh may have added others.
const container = "manager"

// ownImage is the image of the pod that this manager runs in. Its workers run
// the same one: whatever sets the manager's image sets theirs.
func ownImage(ctx context.Context, reader client.Reader, pod client.ObjectKey) (string, error) {
	var own corev1.Pod
	if err := reader.Get(ctx, pod, &own); err != nil {
		return "", fmt.Errorf("reading the manager's own pod for the image of the workers (or set --worker-image): %w", err)
	}
	for _, c := range own.Spec.Containers {
		if c.Name == container {
			return c.Image, nil
		}
	}
	return "", fmt.Errorf("pod %s has no container %q whose image the workers could run; set --worker-image", pod, container)
}
