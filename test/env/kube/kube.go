// Package kube runs a real Kubernetes API server with etcd, and kubectl, for
// the tests and the demo. No controller and no kubelet runs beside it: see
// test/env/kubelet for those that Weir needs.
package kube

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/internal/process"
	"github.com/weir-dev/weir/test/env/internal/store"
)

// Cluster is a running control plane that enforces RBAC.
type Cluster struct {
	// Config is the administrator's access.
	Config *rest.Config
	// Kubeconfig is the path of a file with the administrator's access.
	Kubeconfig string
	// KubectlPath is the path of kubectl.
	KubectlPath string

	environment *envtest.Environment
	stop        func() error
}

var shared env.Shared[*Cluster]

// Shared is the control plane that all tests of a test binary share, with
// Weir's CRDs: each test uses a namespace of its own (see Namespace). The
// package needs a TestMain that calls env.Main.
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	return shared.Get(tb, func(ctx context.Context) (*Cluster, error) {
		cluster, err := Start(ctx)
		if err != nil {
			return nil, err
		}
		if err := cluster.InstallCRDs(ctx); err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
		return cluster, nil
	})
}

// Start starts a control plane; the caller closes it. The first one on a
// machine may fetch or build the binaries, which takes minutes.
func Start(ctx context.Context) (*Cluster, error) {
	from, err := assets(ctx)
	if err != nil {
		return nil, err
	}
	dir, removeDir, err := store.TempDir("weir-kube-")
	if err != nil {
		return nil, fmt.Errorf("start Kubernetes: %w", err)
	}
	cluster, err := start(from, dir, removeDir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Kubernetes: %w", err), removeDir())
	}
	return cluster, nil
}

// start starts the binaries in from, with their files in dir.
func start(from, dir string, removeDir func() error) (_ *Cluster, err error) {
	apiPort, releaseAPIPort, err := store.Port()
	if err != nil {
		return nil, err
	}
	etcdPort, releaseEtcdPort, err := store.Port()
	if err != nil {
		releaseAPIPort()
		return nil, err
	}
	logs, err := os.Create(filepath.Join(dir, "kubernetes.log"))
	if err != nil {
		return nil, err
	}
	// envtest logs by controller-runtime, which prints a stack trace where no
	// logger was set. Who wants the logs sets one after this.
	log.SetLogger(logr.Discard())
	const patience = 2 * time.Minute // for a machine that does much else at the same time
	environment := &envtest.Environment{ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience}
	stop := func() error {
		err := environment.Stop()
		releaseAPIPort()
		releaseEtcdPort()
		return errors.Join(err, logs.Close(), removeDir())
	}
	defer func() {
		if err != nil {
			output, _ := os.ReadFile(logs.Name()) // the error says enough without it
			err = errors.Join(fmt.Errorf("%w\n%s", err, tail(output, 4096)), stop())
		}
	}()

	controlPlane := &environment.ControlPlane
	controlPlane.KubectlPath = filepath.Join(from, "kubectl")
	apiServer := controlPlane.GetAPIServer()
	apiServer.CertDir = filepath.Join(dir, "apiserver")
	apiServer.SecureServing.ListenAddr = envtest.ListenAddr{Address: "127.0.0.1", Port: strconv.Itoa(apiPort)}
	apiServer.Out, apiServer.Err = logs, logs
	etcd := &envtest.Etcd{
		DataDir: filepath.Join(dir, "etcd"),
		URL:     &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(etcdPort))},
		Out:     logs, Err: logs,
	}
	controlPlane.Etcd = etcd
	for _, made := range []string{apiServer.CertDir, etcd.DataDir} {
		if err := os.Mkdir(made, 0o700); err != nil {
			return nil, err
		}
	}
	if apiServer.Path, err = mortal(dir, from, "kube-apiserver"); err != nil {
		return nil, err
	}
	if etcd.Path, err = mortal(dir, from, "etcd"); err != nil {
		return nil, err
	}
	process.OnLastingThread(func() { _, err = environment.Start() })
	if err != nil {
		return nil, err
	}

	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	return &Cluster{
		Config:      environment.Config,
		Kubeconfig:  kubeconfig,
		KubectlPath: controlPlane.KubectlPath,
		environment: environment,
		stop:        stop,
	}, nil
}

// mortal is a program that runs the binary and dies when this process does,
// however it dies: envtest offers no way to ask the kernel for that. Where the
// machine has no setpriv, only an orderly end stops the binary.
func mortal(dir, from, name string) (string, error) {
	binary := filepath.Join(from, name)
	if _, err := exec.LookPath("setpriv"); err != nil {
		return binary, nil
	}
	wrapper := filepath.Join(dir, name+".sh")
	quoted := "'" + strings.ReplaceAll(binary, "'", `'\''`) + "'"
	return wrapper, os.WriteFile(wrapper, []byte("#!/bin/sh\nexec setpriv --pdeathsig KILL -- "+quoted+" \"$@\"\n"), 0o755)
}

// Close stops the control plane and removes its data.
func (c *Cluster) Close() error { return c.stop() }

// InstallCRDs installs Weir's CRDs, from config/crd of the checkout, and
// returns when the API server serves them.
func (c *Cluster) InstallCRDs(ctx context.Context) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	_, err = envtest.InstallCRDs(c.Config, envtest.CRDInstallOptions{
		Paths:              []string{filepath.Join(root, "config", "crd")},
		ErrorIfPathMissing: true,
	})
	if err != nil {
		return fmt.Errorf("install Weir's CRDs: %w", err)
	}
	return nil
}

//go:embed prometheusrules.yaml
var prometheusRules []byte

// InstallPrometheusRules installs the Prometheus operator's CRD for
// PrometheusRule and returns when the API server serves it.
func (c *Cluster) InstallPrometheusRules() error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(prometheusRules, &crd); err != nil {
		return fmt.Errorf("install the CRD of PrometheusRule: %w", err)
	}
	_, err := envtest.InstallCRDs(c.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{&crd}})
	if err != nil {
		return fmt.Errorf("install the CRD of PrometheusRule: %w", err)
	}
	return nil
}

// Namespace creates a namespace for this test and returns its name. Nothing
// deletes it: that would need Kubernetes' controllers.
func (c *Cluster) Namespace(tb testing.TB) string {
	tb.Helper()
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: env.Unique("test")}}
	if _, err := clients.CoreV1().Namespaces().Create(tb.Context(), namespace, metav1.CreateOptions{}); err != nil {
		tb.Fatalf("env: create a namespace: %v", err)
	}
	return namespace.Name
}

// Kubectl runs kubectl as the administrator and returns its standard output.
// The error has the output and what it said on standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.KubectlPath, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(filepath.Dir(c.Kubeconfig), "kubectl"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

func tail(output []byte, n int) []byte { return output[max(0, len(output)-n):] }
