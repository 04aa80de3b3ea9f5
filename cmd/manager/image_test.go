package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env/kube"
)

// A mesh puts its container first; the workers run the manager's image.
func TestOwnImage(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	live, err := client.New(control.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	namespace := control.Namespace(t)
	pod := func(name string, containers ...corev1.Container) client.ObjectKey {
		t.Helper()
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.PodSpec{Containers: containers},
		}
		if err := live.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		return client.ObjectKeyFromObject(pod)
	}
	mesh := corev1.Container{Name: "proxy", Image: "mesh:1"}

	got, err := ownImage(t.Context(), live, pod("meshed", mesh, corev1.Container{Name: "manager", Image: "registry.example.com/weir:v9"}))
	if want := "registry.example.com/weir:v9"; err != nil || got != want {
		t.Errorf("ownImage returned %q, %v; want %q", got, err, want)
	}
	for want, key := range map[string]client.ObjectKey{
		`pod ` + namespace + `/alien has no container "manager" whose image the workers could run; set --worker-image`: pod("alien", mesh),
		`reading the manager's own pod for the image of the workers (or set --worker-image): pods "absent" not found`:  {Namespace: namespace, Name: "absent"},
	} {
		if _, err := ownImage(t.Context(), live, key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ownImage returned %v, want %q", err, want)
		}
	}
}
