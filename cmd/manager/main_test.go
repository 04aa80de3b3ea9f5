package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// asManager makes the test binary the manager.
const asManager = "WEIR_TEST_AS_MANAGER"

func TestMain(m *testing.M) {
	if os.Getenv(asManager) != "" {
		main()
		return
	}
	env.Main(m)
}

func TestParse(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	t.Setenv("POD_NAME", "")
	required := []string{"--namespace=weir-system", "--worker-image=weir:1"}
	for name, test := range map[string]struct {
		args []string
		want string // the error; empty: none
	}{
		"all that is required": {args: required},
		"no namespace":         {required[1:], "the operator's namespace is not known; set --namespace or POD_NAMESPACE"},
		"no image":             {required[:1], "the workers' image is not known; set --worker-image, or POD_NAME so that it is the manager's own"},
		"an argument":          {append(required, "start"), `unexpected argument "start"`},
		"no concurrency":       {append(required, "--concurrency=0"), "--concurrency must be at least 1, is 0"},
		"too often":            {append(required, "--lag-interval=1ms", "--poll-interval=1ms"), "--lag-interval must be at least 100ms, is 1ms"},
		"help":                 {[]string{"--help"}, flag.ErrHelp.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args)
			if got := fmt.Sprint(errors.Join(err)); got != test.want && (err != nil || test.want != "") {
				t.Errorf("parse returned %v, want %q", err, test.want)
			}
		})
	}
}

func TestParseDefaults(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "weir-system")
	t.Setenv("POD_NAME", "weir-manager-1")
	got, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		Options: controller.Options{
			Namespace: "weir-system", Resync: time.Minute, LagInterval: 15 * time.Second,
			StatusInterval: time.Minute, PollInterval: 5 * time.Second, Concurrency: 64,
		},
		metricsListen: ":8443", healthListen: ":8081", pod: "weir-manager-1", leaderElect: true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// managerProcess is a running manager.
type managerProcess struct {
	*exec.Cmd
	health, metrics string
	output          *bytes.Buffer
}

func start(t *testing.T, kubeconfig, namespace string) *managerProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &managerProcess{health: freeAddress(t), metrics: freeAddress(t), output: new(bytes.Buffer)}
	m.Cmd = exec.Command(self, "--namespace="+namespace, "--worker-image=weir:test", //nolint:noctx // the test ends it by a signal
		"--health-listen="+m.health, "--metrics-listen="+m.metrics)
	m.Env = append(os.Environ(), asManager+"=yes", "KUBECONFIG="+kubeconfig)
	m.Stdout, m.Stderr = m.output, m.output
	m.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.Process.Kill() // it may have ended
		_ = m.Wait()
		if t.Failed() {
			t.Logf("the manager said:\n%s", m.output)
		}
	})
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// The manager as a process: its health, its metrics for those who may read
// them, one of two acts, and an orderly end hands over at once.
func TestManager(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	namespace := control.Namespace(t)
	live, err := client.New(control.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	leader := func() string {
		lease := &coordinationv1.Lease{}
		err := live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "weir-manager"}, lease)
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}

	first := start(t, control.Kubeconfig, namespace)
	env.Await(t, func() string {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, err := get(t.Context(), "http://"+first.health+path, ""); err != nil || status != http.StatusOK {
				return fmt.Sprintf("%s: %d, %v", path, status, err)
			}
		}
		if leader() == "" {
			return "nobody leads"
		}
		return ""
	})
	was := leader()
	works(t, live, namespace, "first")

	metrics := "https://" + first.metrics + "/metrics"
	prometheus, somebody := token(t, live, namespace, "prometheus"), token(t, live, namespace, "somebody")
	letRead(t, live, namespace, "prometheus")
	for token, want := range map[string]int{"": http.StatusUnauthorized, somebody: http.StatusForbidden, prometheus: http.StatusOK} {
		env.Await(t, func() string {
			if status, err := get(t.Context(), metrics, token); err != nil || status != want {
				return fmt.Sprintf("metrics answer %d, %v; want %d", status, err, want)
			}
			return ""
		})
	}

	second := start(t, control.Kubeconfig, namespace)
	env.Await(t, func() string {
		if status, err := get(t.Context(), "http://"+second.health+"/readyz", ""); err != nil || status != http.StatusOK {
			return fmt.Sprintf("the second: %d, %v", status, err)
		}
		return ""
	})
	if now := leader(); now != was {
		t.Errorf("%s leads, and %s did", now, was)
	}
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first ended with %v", err)
	}
	// It has let go of the lease, which would hold for 15 seconds otherwise.
	handover := time.Now()
	env.Await(t, func() string {
		if now := leader(); now == "" || now == was {
			return "the second does not lead yet"
		}
		return ""
	})
	if took := time.Since(handover); took > 10*time.Second {
		t.Errorf("the second took over after %s", took)
	}
	works(t, live, namespace, "second")
}

// works waits until somebody has looked at a new Topic.
func works(t *testing.T, live client.Client, namespace, name string) {
	t.Helper()
	topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := live.Create(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	env.Await(t, func() string {
		if err := live.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
			return err.Error()
		}
		if topic.Status.ObservedGeneration != topic.Generation {
			return "nobody has looked at Topic " + name
		}
		return ""
	})
}

// token makes a service account and returns a token of it.
func token(t *testing.T, live client.Client, namespace, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{}
	if err := errors.Join(live.Create(t.Context(), account), live.SubResource("token").Create(t.Context(), account, request)); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// letRead lets a service account read metrics, by the role in config/rbac.
func letRead(t *testing.T, live client.Client, namespace, account string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", "metrics_reader.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(text, &role); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}
	if err := errors.Join(client.IgnoreAlreadyExists(live.Create(t.Context(), &role)), live.Create(t.Context(), binding)); err != nil {
		t.Fatal(err)
	}
}

func get(ctx context.Context, url, token string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The manager's certificate is its own.
	insecure := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := insecure.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
