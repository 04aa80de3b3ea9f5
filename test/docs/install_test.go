package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
	"github.com/weir-dev/weir/test/env/kubelet"
	"github.com/weir-dev/weir/test/env/operator"
)

// TestInstall follows docs/install.md to the letter, from an empty cluster and
// back, but for the address of Kafka. Pods are processes, without an image.
func TestInstall(t *testing.T) {
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
	pods, err := kubelet.Start(kubelet.Config{API: cluster.Config, Commands: map[string]string{"/manager": operator.Binary(t)}, LogDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pods.Close(); err != nil {
			t.Error(err)
		}
	})
	bootstrap := kafkaOfTheSamples(t)
	finalizeNamespaces(t, cluster)

	checkout := t.TempDir()
	if err := os.CopyFS(filepath.Join(checkout, "config"), os.DirFS(filepath.Join(root, "config"))); err != nil {
		t.Fatal(err)
	}
	sample := filepath.Join(checkout, "config", "samples", "platform", "kafkacluster.yaml")
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "kafka-bootstrap.kafka.svc:9092", bootstrap, 1))
	if err := os.WriteFile(sample, text, 0o600); err != nil {
		t.Fatal(err)
	}

	shell := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", strings.Join(blocks(t, "docs/install.md", "sh"), "\n"))
	shell.Dir = checkout
	shell.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "PATH="+filepath.Dir(cluster.KubectlPath)+":"+os.Getenv("PATH"))
	output, err := shell.CombinedOutput()
	if err != nil {
		state, _ := cluster.Kubectl(t.Context(), "get", "kafkaclusters", "--output=yaml")
		t.Fatalf("%v\n%s\n%s", err, output, state)
	}
	left, err := cluster.Kubectl(t.Context(), "get", "crd", "--output=name")
	if err != nil || strings.Contains(left, "weir.dev") {
		t.Errorf("Weir's CRDs are still there: %s, %v", left, err)
	}
}

// kafkaOfTheSamples starts a Kafka with the users that the page names, and
// with the rights that docs/kafkacluster.md lists.
func kafkaOfTheSamples(t *testing.T) (bootstrap string) {
	t.Helper()
	kafka, err := env.StartFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kafka.Close(); err != nil {
			t.Error(err)
		}
	})
	const password = "PASSWORD" // as the page writes it
	for _, name := range []string{"weir", "weir-retry"} {
		if _, err := kafka.AddUser(t.Context(), name, password); err != nil {
			t.Fatal(err)
		}
	}
	weir := env.User{Name: "weir"}
	kafka.Allow(t, weir, kadm.NewACLs().Clusters(), kadm.OpAlter, kadm.OpDescribe)
	kafka.Allow(t, weir, kadm.NewACLs().Topics("*"), kadm.OpCreate, kadm.OpAlter, kadm.OpAlterConfigs, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpDelete)
	kafka.Allow(t, weir, kadm.NewACLs().Groups("*"), kadm.OpDescribe)
	return kafka.Bootstrap[0]
}

// finalizeNamespaces does for namespaces that are deleted, and service accounts
// that namespaces come with, what Kubernetes' controllers do.
func finalizeNamespaces(t *testing.T, cluster *kube.Cluster) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	look := func() {
		namespaces, err := clients.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return // ended, or asked again
		}
		for _, namespace := range namespaces.Items {
			if namespace.DeletionTimestamp.IsZero() {
				account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
				_, _ = clients.CoreV1().ServiceAccounts(namespace.Name).Create(ctx, account, metav1.CreateOptions{}) // it is there already
				continue
			}
			namespace.Spec.Finalizers = nil
			_, _ = clients.CoreV1().Namespaces().Finalize(ctx, &namespace, metav1.UpdateOptions{}) // asked again
		}
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			look()
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}
