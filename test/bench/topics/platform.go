package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// operatorNamespace is where the manager and its Secret are.
const operatorNamespace = "weir-system"

// platform is a real API server, a Kafka and, once started, the manager.
type platform struct {
	kube  *kube.Cluster
	kafka *env.Kafka
	bare  *kgo.Client
	api   client.WithWatch
	// requests counts what kfake is asked by the manager and the bare loop.
	requests atomic.Int64
	closers  []func() error

	manager     string // the program
	pid         int    // of its process
	stopManager func() error
}

func (p *platform) onClose(f func() error) { p.closers = append(p.closers, f) }

func (p *platform) close() error {
	var errs []error
	for _, f := range slices.Backward(p.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (p *platform) start(ctx context.Context) error {
	say("starting Kubernetes' API server and Kafka")
	var err error
	if p.kube, err = kube.Start(ctx); err != nil {
		return err
	}
	p.onClose(p.kube.Close)
	if err := p.kube.InstallCRDs(ctx); err != nil {
		return err
	}
	if p.kafka, err = env.StartKafka(ctx); err != nil {
		return err
	}
	p.onClose(p.kafka.Close)
	if p.kafka.Fake != nil {
		p.kafka.Fake.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
			p.kafka.Fake.KeepControl()
			p.requests.Add(1)
			return nil, nil, false
		})
	}
	if p.bare, err = kgo.NewClient(p.kafka.Options(p.kafka.Admin)...); err != nil {
		return err
	}
	p.onClose(func() error { p.bare.Close(); return nil })
	config := rest.CopyConfig(p.kube.Config)
	config.QPS, config.Timeout = -1, 0
	if p.api, err = client.NewWithWatch(config, client.Options{Scheme: controller.NewScheme()}); err != nil {
		return err
	}
	return p.namespace(ctx, operatorNamespace)
}

func (p *platform) namespace(ctx context.Context, name string) error {
	return p.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// startManager builds and starts the manager with its defaults, and waits until
// its KafkaCluster is Ready.
func (p *platform) startManager(ctx context.Context) error {
	say("building and starting the manager")
	p.onClose(func() error { return p.stopManager() })
	if err := p.buildManager(ctx); err != nil {
		return err
	}
	if err := p.runManager(); err != nil {
		return err
	}
	return p.cluster(ctx)
}

func (p *platform) buildManager(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	p.onClose(func() error { return os.RemoveAll(dir) })
	p.manager = filepath.Join(dir, "manager")
	if output, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", p.manager, "./cmd/manager").CombinedOutput(); err != nil {
		return fmt.Errorf("build the manager: %w\n%s", err, output)
	}
	return nil
}

// runManager starts the manager's process.
func (p *platform) runManager() error {
	health, err := freeAddress()
	if err != nil {
		return err
	}
	var output bytes.Buffer
	cmd := exec.Command(p.manager, //nolint:noctx // close ends it
		"--namespace="+operatorNamespace, "--worker-image=weir:bench", "--health-listen="+health, "--metrics-listen=0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.kube.Kubeconfig)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.pid = cmd.Process.Pid
	p.stopManager = sync.OnceValue(func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("the manager: %w\n%s", err, output.Bytes())
		}
		return nil
	})
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// cluster declares the KafkaCluster, the default one, and waits for it.
func (p *platform) cluster(ctx context.Context) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "kafka"},
		StringData: map[string]string{"username": p.kafka.Admin.Name, "password": p.kafka.Admin.Password},
	}
	if err := p.api.Create(ctx, secret); err != nil {
		return err
	}
	cluster := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "bench", Annotations: map[string]string{v1alpha1.DefaultClusterAnnotation: "true"}},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: p.kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLScramSHA512, SecretRef: v1alpha1.SecretReference{Name: "kafka"}},
		},
	}
	if err := p.api.Create(ctx, cluster); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if err := p.api.Get(ctx, client.ObjectKeyFromObject(cluster), cluster); err != nil {
			return err
		}
		if isReady(cluster.Status.Conditions, cluster.Status.ObservedGeneration, cluster.Generation) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the KafkaCluster is not Ready: %+v", cluster.Status.Conditions)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts are what has been asked so far.
type counts struct {
	writes, events, kafka float64
	requests              map[string]float64 // to the API server, as "VERB resource/subresource code"
}

// counts reads the API server's own metrics.
func (p *platform) counts(ctx context.Context) (counts, error) {
	discovery, err := discovery.NewDiscoveryClientForConfig(p.kube.Config)
	if err != nil {
		return counts{}, err
	}
	text, err := discovery.RESTClient().Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").DoRaw(ctx)
	if err != nil {
		return counts{}, fmt.Errorf("the API server's metrics: %w", err)
	}
	found, err := countWrites(bytes.NewReader(text))
	found.kafka = float64(p.requests.Load())
	return found, err
}
