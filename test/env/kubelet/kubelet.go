// Package kubelet stands in for what Kubernetes runs beside its API server, as
// far as Weir needs it: the Deployment and ReplicaSet controllers, the garbage
// collector, and a kubelet that runs each pod's first container as a local
// process.
//
//	Deployment ─▶ ReplicaSet ─▶ Pod ─▶ files of its volumes, process, probes ─▶ status
//
// All pods have the address 127.0.0.1, so each of a pod's ports gets a free
// port of this machine: it is in the Pod as containerPort, and in the
// container's environment variable <PORT NAME>_PORT where there is one.
//
// What it does not do: init containers and sidecars, jobs and stateful sets,
// services, exec and gRPC probes, lifecycle hooks, subPath, images, limits.
package kubelet

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/test/env/internal/store"
)

// nodeName is the node that all pods run on.
const nodeName = "local"

const (
	syncInterval    = 200 * time.Millisecond // between two looks at Deployments and Pods
	collectInterval = time.Second            // between two looks for objects without owner
)

// Config says what the kubelet runs and where.
type Config struct {
	// API is an administrator's access to the API server.
	API *rest.Config
	// Commands says which local program a container's command[0] stands for,
	// as in "/relay": "bin/relay". Other commands are refused.
	Commands map[string]string
	// LogDir gets a file <namespace>_<pod>.log with each pod's output and the
	// kubelet's own kubelet.log. It is created where it is missing.
	LogDir string
}

// Kubelet runs pods until Stop. Its methods may be called from any goroutine.
type Kubelet struct {
	config  Config
	client  client.Client
	log     *slog.Logger
	logFile *os.File
	dir     string // of the pods' volumes
	remove  func() error

	cancel context.CancelFunc
	loops  sync.WaitGroup
	wake   chan struct{} // a pod's status changed: look now

	mu   sync.Mutex
	pods map[types.UID]*pod
	// ports are reserved when a Pod is created and released when its process
	// has ended for good. By namespace/name, because the API server gives the UID later.
	ports map[types.NamespacedName][]func()
}

// Start starts the kubelet. The caller stops it.
func Start(config Config) (*Kubelet, error) {
	apiClient, err := client.New(config.API, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		return nil, fmt.Errorf("start the kubelet: %w", err)
	}
	if err := os.MkdirAll(config.LogDir, 0o755); err != nil {
		return nil, fmt.Errorf("start the kubelet: %w", err)
	}
	logFile, err := os.OpenFile(filepath.Join(config.LogDir, "kubelet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start the kubelet: %w", err)
	}
	dir, removeDir, err := store.TempDir("weir-kubelet-")
	if err != nil {
		_ = logFile.Close()
		return nil, fmt.Errorf("start the kubelet: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Kubelet{
		config:  config,
		client:  apiClient,
		log:     slog.New(slog.NewTextHandler(logFile, nil)),
		logFile: logFile,
		dir:     dir,
		remove:  removeDir,
		cancel:  cancel,
		wake:    make(chan struct{}, 1),
		pods:    map[types.UID]*pod{},
		ports:   map[types.NamespacedName][]func(){},
	}
	k.loops.Go(func() { k.syncLoop(ctx) })
	k.loops.Go(func() { k.collectLoop(ctx) })
	return k, nil
}

// Stop ends all pods' processes, each with its grace period, and leaves the
// objects in the API server as they are.
func (k *Kubelet) Stop() error {
	k.cancel()
	k.loops.Wait()
	if err := k.remove(); err != nil {
		return fmt.Errorf("stop the kubelet: %w", err)
	}
	return k.logFile.Close()
}

// Close is Stop.
func (k *Kubelet) Close() error { return k.Stop() }

// Running is a pod whose process runs.
type Running struct {
	Namespace, Name string
	PID             int
	// Log is the path of the pod's output.
	Log string
}

// Running lists the pods whose process runs, by namespace and name.
func (k *Kubelet) Running() []Running {
	k.mu.Lock()
	defer k.mu.Unlock()
	var running []Running
	for _, p := range k.pods {
		if pid := p.pid(); pid != 0 {
			running = append(running, Running{Namespace: p.name.Namespace, Name: p.name.Name, PID: pid, Log: p.logPath()})
		}
	}
	slices.SortFunc(running, func(a, b Running) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return running
}

// Signal sends a signal to a pod's process behind Kubernetes' back: SIGKILL is
// a crash, SIGSTOP a process that hangs.
func (k *Kubelet) Signal(namespace, name string, signal syscall.Signal) error {
	for _, running := range k.Running() {
		if running.Namespace == namespace && running.Name == name {
			return syscall.Kill(running.PID, signal)
		}
	}
	return fmt.Errorf("pod %s/%s has no process", namespace, name)
}

// Kill is kill -9 of a pod's process; the kubelet then restarts it.
func (k *Kubelet) Kill(namespace, name string) error {
	return k.Signal(namespace, name, syscall.SIGKILL)
}

func (k *Kubelet) syncLoop(ctx context.Context) {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		pods, err := k.syncDeployments(ctx)
		if err != nil && ctx.Err() == nil {
			k.log.Error("sync Deployments", "error", err)
		}
		if err == nil {
			k.syncPods(ctx, pods)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-k.wake:
		}
	}
}

// syncPods gives each pod of this node its goroutine, and news of it.
func (k *Kubelet) syncPods(ctx context.Context, objects []corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[types.UID]bool{}
	for i := range objects {
		object := &objects[i]
		seen[object.UID] = true
		if object.Spec.NodeName != nodeName {
			continue
		}
		p, ok := k.pods[object.UID]
		if !ok {
			p = newPod(k, object)
			k.pods[object.UID] = p
			k.loops.Go(func() { p.run(ctx) })
		}
		p.tell(object)
	}
	for uid, p := range k.pods {
		if !seen[uid] { // removed by force, or ended
			p.gone()
			delete(k.pods, uid)
		}
	}
}

// look makes the sync loop look at once.
func (k *Kubelet) look() {
	select {
	case k.wake <- struct{}{}:
	default: // it is about to look
	}
}

// releasePorts gives a pod's ports back.
func (k *Kubelet) releasePorts(name types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, release := range k.ports[name] {
		release()
	}
	delete(k.ports, name)
}
