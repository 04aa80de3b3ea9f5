// Package operator runs the manager as a process of its own, for tests that
// look at it from outside, as Prometheus and Argo CD do.
package operator

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	// What the manager is made of, so that no test result is kept that an older
	// manager gave.
	_ "github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// binary is the built manager, which all tests of a test binary share.
type binary struct{ dir string }

func (b binary) Close() error { return os.RemoveAll(b.dir) }

var built env.Shared[binary]

// Root is the checkout, also for a test whose module is another one.
func Root(tb testing.TB) string {
	tb.Helper()
	root, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/weir-dev/weir").Output()
	if err != nil {
		tb.Fatalf("env: find the checkout: %v", err)
	}
	return strings.TrimSpace(string(root))
}

// Binary is the path of the manager, built once for all tests of a test binary.
// The package needs a TestMain that calls env.Main.
func Binary(tb testing.TB) string {
	tb.Helper()
	root := Root(tb)
	return filepath.Join(built.Get(tb, func(ctx context.Context) (binary, error) { return build(ctx, root) }).dir, "manager")
}

// Start starts a manager that looks often, and ends it with the test. It
// returns the address of its metrics. See Binary.
func Start(tb testing.TB, cluster *kube.Cluster, namespace string) (metrics string) {
	tb.Helper()
	manager := Binary(tb)
	metrics = freeAddress(tb)
	output := &bytes.Buffer{}
	cmd := exec.Command(manager, //nolint:noctx // the cleanup ends it
		"--namespace="+namespace, "--worker-image=weir:test", "--health-listen="+freeAddress(tb), "--metrics-listen="+metrics,
		"--resync-interval=1s", "--lag-interval=200ms", "--status-interval=1s", "--poll-interval=200ms")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("env: start the manager: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("the manager said:\n%s", output)
		}
	})
	return metrics
}

func build(ctx context.Context, root string) (binary, error) {
	dir, err := os.MkdirTemp("", "weir-operator-")
	if err != nil {
		return binary{}, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/manager")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return binary{dir}, fmt.Errorf("build the manager: %w\n%s", err, output)
	}
	return binary{dir}, nil
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
