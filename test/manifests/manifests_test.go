// Package manifests tests that what is in config/ can be applied with kubectl
// to a real API server, as a reader of the README does it.
package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

const config = "../../config"

// Installing, the platform's part and the teams' part, in this order, on a
// cluster that has nothing of Weir yet.
func TestManifests(t *testing.T) {
	t.Parallel()
	cluster, err := kube.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	kubectl := func(t *testing.T, args ...string) string {
		t.Helper()
		output, err := cluster.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}

	kubectl(t, "apply", "-k", config+"/default")
	kubectl(t, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	for _, part := range []string{"/samples/platform", "/samples", "/network-policy"} {
		kubectl(t, "apply", "-k", config+part)
	}

	t.Run("every generated CRD is applied", func(t *testing.T) {
		files, err := filepath.Glob(config + "/crd/weir.dev_*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatalf("no CRDs: %v", err)
		}
		applied := kubectl(t, "get", "crd", "--output=name")
		for _, file := range files {
			plural := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "weir.dev_"), ".yaml")
			if !strings.Contains(applied, "/"+plural+".weir.dev\n") {
				t.Errorf("%s is not in config/crd/kustomization.yaml", file)
			}
		}
	})

	t.Run("applying again changes nothing", func(t *testing.T) {
		for _, part := range []string{"/samples/platform", "/samples"} {
			for line := range strings.Lines(kubectl(t, "apply", "-k", config+part)) {
				if !strings.HasSuffix(line, " unchanged\n") {
					t.Errorf("%s: %s", part, line)
				}
			}
		}
	})

	t.Run("the manager keeps to the pod security standard", func(t *testing.T) {
		clients, err := kubernetes.NewForConfig(cluster.Config)
		if err != nil {
			t.Fatal(err)
		}
		deployment, err := clients.AppsV1().Deployments("weir-system").Get(t.Context(), "weir-manager", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "try"}, Spec: deployment.Spec.Template.Spec}
		dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
		if _, err := clients.CoreV1().Pods("weir-system").Create(t.Context(), pod, dryRun); err != nil {
			t.Error(err)
		}
		pod.Spec.Containers[0].SecurityContext = nil
		if _, err := clients.CoreV1().Pods("weir-system").Create(t.Context(), pod, dryRun); err == nil {
			t.Error("the namespace enforces no standard, so this test is blind")
		}
	})

	// GitOps sets the image in an overlay. The workers run that of the
	// manager's own pod, and nothing else may name one.
	t.Run("an overlay moves the image of manager and workers", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "base"), os.DirFS(config)); err != nil {
			t.Fatal(err)
		}
		overlay := []byte("resources: [base/default]\nimages:\n- {name: ghcr.io/weir-dev/weir, newName: registry.example.com/weir, newTag: v9}\n")
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		var deployment appsv1.Deployment
		for document := range strings.SplitSeq(kubectl(t, "kustomize", dir), "\n---\n") {
			if strings.Contains(document, "\nkind: Deployment\n") {
				if err := yaml.UnmarshalStrict([]byte(document), &deployment); err != nil {
					t.Fatal(err)
				}
			}
		}
		manager := deployment.Spec.Template.Spec.Containers[0]
		if want := "registry.example.com/weir:v9"; manager.Name != "manager" || manager.Image != want {
			t.Errorf("container %s has the image %s, want manager with %s", manager.Name, manager.Image, want)
		}
		text, err := yaml.Marshal(manager)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "/weir:"); n != 1 {
			t.Errorf("%d images are named, want the manager's alone:\n%s", n, text)
		}
	})

	t.Run("Argo CD keeps what it had", func(t *testing.T) {
		kubectl(t, "create", "namespace", "argocd")
		kubectl(t, "create", "configmap", "argocd-cm", "--namespace=argocd", "--from-literal=url=https://argocd.example.com")
		kubectl(t, "apply", "--server-side", "-k", config+"/argocd")
		keys := kubectl(t, "get", "configmap", "argocd-cm", "--namespace=argocd", "--output=go-template={{range $key, $_ := .data}}{{$key}} {{end}}")
		if want := "resource.customizations.health.weir.dev_Topic url"; !strings.Contains(keys, want) {
			t.Errorf("argocd-cm has the keys %s, want %s among them", keys, want)
		}
	})

	t.Run("the monitoring parts build", func(t *testing.T) {
		if output := kubectl(t, "kustomize", config+"/prometheus"); !strings.Contains(output, "kind: ServiceMonitor") {
			t.Errorf("got %q, want a ServiceMonitor", output)
		}
	})

	t.Run("nobody writes the record by a right to write ConfigMaps", func(t *testing.T) {
		kubectl(t, "create", "role", "configmaps", "--verb=get,create,update,patch,delete", "--resource=configmaps", "--namespace=weir-system")
		kubectl(t, "create", "rolebinding", "pipelines", "--role=configmaps", "--user=pipeline", "--namespace=weir-system")
		const manager = "system:serviceaccount:weir-system:weir-manager"
		as := func(user string, args ...string) error {
			_, err := cluster.Kubectl(t.Context(), append(args, "--namespace=weir-system", "--as="+user)...)
			return err
		}
		for _, name := range []string{"weir-record", "weir-record-abc", "weir-record-abc-1"} {
			refused := "pipeline may not write " + name + ", in which Weir records what it owns in Kafka: access would be lost or left behind. " +
				"Where that must be, grant the verb write on records of the API group weir.dev in namespace weir-system"
			// The policy takes effect a moment after it was applied.
			env.Await(t, func() string {
				err := as("pipeline", "create", "configmap", name, "--dry-run=server")
				if err == nil || !strings.Contains(err.Error(), refused) {
					return fmt.Sprintf("create: %v", err)
				}
				return ""
			})
			if err := as(manager, "create", "configmap", name); err != nil {
				t.Errorf("the manager is refused: %v", err)
			}
			for _, change := range [][]string{{"annotate", "configmap", name, "a=b"}, {"delete", "configmap", name}} {
				if err := as("pipeline", change...); err == nil || !strings.Contains(err.Error(), refused) {
					t.Errorf("%v: %v", change, err)
				}
			}
			if err := as(manager, "delete", "configmap", name); err != nil {
				t.Errorf("the manager is refused: %v", err)
			}
		}
		for _, name := range []string{"weir-retry-main", "weir-records"} {
			if err := as("pipeline", "create", "configmap", name); err != nil {
				t.Errorf("another ConfigMap: %v", err)
			}
		}
		// An administrator puts a record back.
		kubectl(t, "create", "configmap", "weir-record-abc", "--namespace=weir-system")
		kubectl(t, "delete", "configmap", "weir-record-abc", "--namespace=weir-system")
	})

	t.Run("where namespaces are named, the manager reads no other's Secrets", func(t *testing.T) {
		all, named := kubectl(t, "kustomize", config+"/default"), kubectl(t, "kustomize", config+"/namespaced")
		const binding = "kind: ClusterRoleBinding\nmetadata:\n  name: weir-secrets\n"
		if !strings.Contains(all, binding) || strings.Contains(named, binding) {
			t.Error("config/namespaced is to differ from config/default by the ClusterRoleBinding weir-secrets")
		}
		for document := range strings.SplitSeq(all, "---\n") {
			if !strings.Contains(document, binding) && !strings.Contains(named, strings.TrimSpace(document)) {
				t.Errorf("config/namespaced lacks:\n%s", document)
			}
		}
		if strings.Contains(kubectl(t, "get", "clusterrole", "weir-manager", "--output=yaml"), "secrets") {
			t.Error("the ClusterRole weir-manager has a right to Secrets")
		}
	})

	t.Run("the manager may read its own pod", func(t *testing.T) {
		const manager = "system:serviceaccount:weir-system:weir-manager"
		if got := strings.TrimSpace(kubectl(t, "auth", "can-i", "get", "pods", "--as="+manager, "--namespace=weir-system")); got != "yes" {
			t.Errorf("got %q, want yes", got)
		}
	})

	t.Run("roles", func(t *testing.T) {
		kubectl(t, "create", "clusterrolebinding", "viewers", "--clusterrole=weir-viewer", "--user=viewer")
		kubectl(t, "create", "rolebinding", "editors", "--clusterrole=weir-editor", "--user=editor", "--namespace=shop")
		kubectl(t, "create", "clusterrolebinding", "readers", "--clusterrole=weir-metrics-reader", "--user=prometheus")
		const manager = "system:serviceaccount:weir-system:weir-manager"
		for _, test := range []struct{ user, verb, resource, want string }{
			{"viewer", "list", "kafkaclusters.weir.dev", "yes"},
			{"viewer", "watch", "topics.weir.dev", "yes"},
			{"viewer", "get", "outboxrelays.weir.dev", "yes"},
			{"viewer", "list", "consumergroups.weir.dev", "yes"},
			{"viewer", "list", "deadletterpolicies.weir.dev", "yes"},
			{"viewer", "patch", "topics.weir.dev", "no"},
			{"editor", "create", "topics.weir.dev", "yes"},
			{"editor", "patch", "outboxrelays.weir.dev", "yes"},
			{"editor", "delete", "consumergroups.weir.dev", "yes"},
			{"editor", "update", "deadletterpolicies.weir.dev", "yes"},
			{"editor", "patch", "topics.weir.dev/status", "no"},
			{"editor", "patch", "kafkaclusters.weir.dev", "no"},
			{"prometheus", "get", "/metrics", "yes"},
			{manager, "create", "tokenreviews.authentication.k8s.io", "yes"},
			{manager, "create", "subjectaccessreviews.authorization.k8s.io", "yes"},
			{manager, "list", "secrets", "no"},
			{manager, "get", "secrets", "yes"},
			{manager, "get", "pods", "no"},
			{manager, "delete", "topics.weir.dev", "no"},
		} {
			resource, subresource, _ := strings.Cut(test.resource, "/")
			args := []string{"auth", "can-i", test.verb, test.resource, "--as=" + test.user, "--namespace=shop"}
			if resource != "" && subresource != "" {
				args = []string{"auth", "can-i", test.verb, resource, "--subresource=" + subresource, "--as=" + test.user, "--namespace=shop"}
			}
			// kubectl exits with 1 where the answer is no.
			output, err := cluster.Kubectl(t.Context(), args...)
			if got := strings.TrimSpace(output); got != test.want {
				t.Errorf("may %s %s %s: got %q, want %q (%v)", test.user, test.verb, test.resource, got, test.want, err)
			}
		}
	})
}
