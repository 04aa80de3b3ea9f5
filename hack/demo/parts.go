package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
	"github.com/weir-dev/weir/test/env/kubelet"
)

// parts is the platform that the story runs on.
type parts struct {
	teller *teller

	kube     *kube.Cluster
	kubelet  *kubelet.Kubelet
	kafka    *env.Kafka // behind gate
	gate     *env.Gate
	postgres *env.Postgres
	dir      string // of the binaries and of the pods' logs

	mu      sync.Mutex
	closers []closer // in the order of starting
}

type closer struct {
	what  string
	close func() error
}

// startParts brings the platform up. The caller closes what it returns, also
// beside an error.
func startParts(ctx context.Context, t *teller) (*parts, error) {
	p := &parts{teller: t}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return p, err
	}
	p.dir = dir
	p.onClose("files", func() error { return os.RemoveAll(dir) })

	t.chapter(0, "The platform comes up")
	t.say("Kubernetes' API server, Kafka and PostgreSQL are real; pods are processes of this machine.")
	var all sync.WaitGroup
	var errs [4]error
	for i, start := range []func(context.Context) error{p.build, p.startKube, p.startKafka, p.startPostgres} {
		all.Go(func() { errs[i] = start(ctx) })
	}
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return p, err
	}
	p.kubelet, err = kubelet.Start(kubelet.Config{
		API:      p.kube.Config,
		Commands: map[string]string{"/manager": filepath.Join(dir, "bin", "manager"), "/relay": filepath.Join(dir, "bin", "relay")},
		LogDir:   p.logDir(),
	})
	if err != nil {
		return p, err
	}
	p.onClose("the pods", p.kubelet.Close)
	return p, ctx.Err()
}

func (p *parts) logDir() string { return filepath.Join(p.dir, "logs") }

// build builds what the image holds.
func (p *parts) build(ctx context.Context) error {
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", filepath.Join(p.dir, "bin")+string(os.PathSeparator), "./cmd/manager", "./cmd/relay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the manager and the relay: %w\n%s", err, output)
	}
	p.up(began, "the manager and the relay are built")
	return nil
}

func (p *parts) startKube(ctx context.Context) error {
	began := time.Now()
	cluster, err := kube.Start(ctx)
	if err != nil {
		return err
	}
	p.kube = cluster
	p.onClose("Kubernetes", cluster.Close)
	if err := cluster.InstallPrometheusRules(); err != nil {
		return err
	}
	p.up(began, "Kubernetes' API server at %s", cluster.Config.Host)
	return nil
}

func (p *parts) startKafka(ctx context.Context) error {
	began := time.Now()
	kafka, err := env.StartKafka(ctx)
	if err != nil {
		return err
	}
	p.onClose("Kafka", kafka.Close)
	p.kafka, p.gate, err = kafka.Gated()
	if err != nil {
		return err
	}
	p.onClose("the gate to Kafka", p.gate.Close)
	if os.Getenv("KAFKA_BOOTSTRAP") != "" {
		if err := p.borrow(ctx); err != nil {
			return err
		}
	}
	p.up(began, "%s at %s", kafkaFlavour(), p.kafka.Bootstrap[0])
	return nil
}

// kafkaFlavour names what env.StartKafka starts.
func kafkaFlavour() string {
	switch {
	case os.Getenv("KAFKA_BOOTSTRAP") != "":
		return "the Kafka of KAFKA_BOOTSTRAP"
	case os.Getenv("WEIR_TEST_KAFKA") == "apache":
		return "Apache Kafka"
	default:
		return "kfake, a Kafka in process,"
	}
}

func (p *parts) startPostgres(ctx context.Context) error {
	began := time.Now()
	postgres, err := env.StartPostgres(ctx)
	if err != nil {
		return err
	}
	p.postgres = postgres
	p.onClose("PostgreSQL", postgres.Close)
	p.up(began, "PostgreSQL at %s:%d", postgres.Host, postgres.Port)
	return nil
}

// up says that a part runs.
func (p *parts) up(began time.Time, format string, args ...any) {
	p.teller.holds("%s (%s)", fmt.Sprintf(format, args...), time.Since(began).Round(100*time.Millisecond))
}

func (p *parts) onClose(what string, f func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closers = append(p.closers, closer{what, f})
}

// close ends everything, what was started last first.
func (p *parts) close() error {
	var errs []error
	for _, c := range slices.Backward(p.closers) {
		if err := c.close(); err != nil {
			errs = append(errs, fmt.Errorf("end %s: %w", c.what, err))
		}
	}
	return errors.Join(errs...)
}
