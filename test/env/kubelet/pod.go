package kubelet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/test/env/internal/process"
)

const podIP = "127.0.0.1"

const (
	refreshInterval = time.Second // between two looks at the sources of a pod's volumes
	// A kubelet waits 10 s to 5 min before it restarts a container; nobody
	// wants to watch that here.
	firstBackoff, longestBackoff = 250 * time.Millisecond, 5 * time.Second
	// healthyAfter is how long a container must have run for its backoff to begin anew.
	healthyAfter = 10 * time.Second
)

// pod runs one Pod's container. All fields belong to run's goroutine, except
// where they say otherwise.
type pod struct {
	kubelet *Kubelet
	name    types.NamespacedName // never changes
	dir     string
	object  *corev1.Pod      // as the sync loop saw it last
	written corev1.PodStatus // as this pod wrote it last; nobody else writes it
	tokens  map[string]accountToken

	restarts       int32
	state, last    corev1.ContainerState
	started, ready bool
	everStarted    bool

	updates chan *corev1.Pod // the newest only
	removed chan struct{}    // closed when the API server has no such Pod any more

	mu      sync.Mutex
	process *process.Process // nil while none runs
}

func newPod(k *Kubelet, object *corev1.Pod) *pod {
	return &pod{
		kubelet: k,
		name:    client.ObjectKeyFromObject(object),
		dir:     filepath.Join(k.dir, string(object.UID)),
		object:  object,
		written: object.Status,
		tokens:  map[string]accountToken{},
		updates: make(chan *corev1.Pod, 1),
		removed: make(chan struct{}),
	}
}

// tell gives the pod its object's newest version. Only the sync loop calls it.
func (p *pod) tell(object *corev1.Pod) {
	select {
	case <-p.updates:
	default:
	}
	p.updates <- object
}

// gone says that the object is gone. Only the sync loop calls it, once.
func (p *pod) gone() { close(p.removed) }

func (p *pod) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return 0
	}
	return p.process.PID()
}

func (p *pod) setProcess(running *process.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process = running
}

func (p *pod) logPath() string {
	return filepath.Join(p.kubelet.config.LogDir, p.name.Namespace+"_"+p.name.Name+".log")
}

// run runs the container, again whenever it ends, until the pod is deleted or
// ctx ends.
func (p *pod) run(ctx context.Context) {
	defer p.kubelet.releasePorts(p.name)
	defer os.RemoveAll(p.dir)
	backoff := firstBackoff
	for p.alive(ctx) {
		line, err := p.prepare(ctx)
		if err != nil {
			p.report(ctx)
			p.wait(ctx, refreshInterval)
			continue
		}
		began := time.Now()
		err = p.supervise(ctx, line)
		if !p.alive(ctx) {
			break
		}
		if time.Since(began) > healthyAfter {
			backoff = firstBackoff
		}
		if err != nil {
			p.waiting("CreateContainerError", err.Error())
		} else {
			p.restarts++
			p.waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container", backoff))
		}
		p.report(ctx)
		p.wait(ctx, backoff)
		backoff = min(2*backoff, longestBackoff)
	}
	for ctx.Err() == nil && !p.finish(ctx) {
		p.wait(ctx, refreshInterval)
	}
}

// alive says whether the container is to run. It reads what was told.
func (p *pod) alive(ctx context.Context) bool {
	select {
	case p.object = <-p.updates:
	default:
	}
	select {
	case <-p.removed:
		return false
	default:
		return ctx.Err() == nil && p.object.DeletionTimestamp == nil
	}
}

// wait waits, until it is clear that the container is not to run at most.
func (p *pod) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-p.removed:
			return
		case p.object = <-p.updates:
			if p.object.DeletionTimestamp != nil {
				return
			}
		}
	}
}

// prepare writes the container's files and says how to start it. Where it
// cannot, it leaves the reason in the container's state.
func (p *pod) prepare(ctx context.Context) (commandLine, error) {
	if err := os.MkdirAll(filepath.Join(p.dir, "tmp"), 0o755); err != nil {
		p.waiting("ContainerCreating", err.Error())
		return commandLine{}, err
	}
	mounts, err := p.mount(ctx)
	if err != nil {
		p.waiting("ContainerCreating", err.Error())
		return commandLine{}, err
	}
	kubeconfig, err := p.kubeconfig(ctx)
	if err != nil {
		p.waiting("ContainerCreating", err.Error())
		return commandLine{}, err
	}
	line, err := resolve(p.object, p.kubelet.config.Commands, mounts, func(source *corev1.EnvVarSource) (string, bool, error) {
		return p.variable(ctx, source)
	})
	if err != nil {
		p.waiting("CreateContainerConfigError", err.Error())
		return commandLine{}, err
	}
	line.env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + p.dir,
		"TMPDIR=" + filepath.Join(p.dir, "tmp"),
		"HOSTNAME=" + p.name.Name,
	}, line.env...)
	if kubeconfig != "" {
		line.env = append(line.env, "KUBECONFIG="+kubeconfig)
	}
	return line, nil
}

// variable is the value of a variable's source, and whether there is one.
func (p *pod) variable(ctx context.Context, source *corev1.EnvVarSource) (string, bool, error) {
	var data map[string][]byte
	var key string
	var err error
	switch {
	case source.FieldRef != nil:
		value, err := field(p.object, source.FieldRef.FieldPath)
		return value, true, err
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		key = ref.Key
		data, err = p.projectedFiles(ctx, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: ref.LocalObjectReference, Items: []corev1.KeyToPath{{Key: key, Path: key}}, Optional: ref.Optional,
		}})
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		key = ref.Key
		data, err = p.projectedFiles(ctx, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: ref.LocalObjectReference, Items: []corev1.KeyToPath{{Key: key, Path: key}}, Optional: ref.Optional,
		}})
	default:
		return "", false, fmt.Errorf("the local kubelet knows fieldRef, secretKeyRef and configMapKeyRef")
	}
	value, found := data[key]
	return string(value), found, err
}

// supervise starts the container and returns when it has ended, by itself, by
// its probes, or because the pod is not to run any more. Its error is that the
// container could not be started.
func (p *pod) supervise(ctx context.Context, line commandLine) error {
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(line.path, line.args...)
	cmd.Dir, cmd.Env = p.dir, line.env
	cmd.Stdout, cmd.Stderr = log, log
	running, err := process.Start(cmd)
	if err != nil {
		return err
	}
	p.setProcess(running)
	startedAt := metav1.Now()
	container := &p.object.Spec.Containers[0]
	p.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: startedAt}}
	p.started, p.ready, p.everStarted = container.StartupProbe == nil, false, true
	p.report(ctx)

	probeCtx, stopProbes := context.WithCancel(ctx)
	verdicts := probe(probeCtx, container)
	defer func() {
		stopProbes()
		for range verdicts { // until they have ended
		}
		p.setProcess(nil)
		p.started, p.ready = false, false
		p.state = corev1.ContainerState{Terminated: terminated(running, startedAt)}
		p.last = p.state
	}()

	refresh := time.NewTicker(refreshInterval)
	defer refresh.Stop()
	news := verdicts
	for {
		select {
		case <-running.Done():
			return nil
		case <-ctx.Done():
			p.terminate(running)
			return nil
		case <-p.removed:
			running.Kill()
			return nil
		case p.object = <-p.updates:
			if p.object.DeletionTimestamp != nil {
				p.terminate(running)
				return nil
			}
		case v, open := <-news:
			if !open {
				news = nil
				continue
			}
			if v.restart != "" {
				p.kubelet.log.Info("restart", "pod", p.name, "reason", v.restart)
				p.terminate(running)
				return nil
			}
			p.started, p.ready = v.started, v.ready
			p.report(ctx)
		case <-refresh.C:
			_, err := p.mount(ctx)
			if err == nil {
				_, err = p.kubeconfig(ctx)
			}
			if err != nil && ctx.Err() == nil { // the container keeps what it has
				p.kubelet.log.Warn("refresh volumes", "pod", p.name, "error", err)
			}
		}
	}
}

// terminate ends the container within the pod's grace period, or at once when
// the Pod is removed by force meanwhile.
func (p *pod) terminate(running *process.Process) {
	grace := ptr.Deref(p.object.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	grace = ptr.Deref(p.object.DeletionGracePeriodSeconds, grace)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		running.Stop(time.Duration(grace) * time.Second)
	}()
	for {
		select {
		case <-stopped:
			return
		case <-p.updates: // nothing in it matters now
		case <-p.removed:
			running.Kill()
			<-stopped
			return
		}
	}
}

func terminated(ended *process.Process, startedAt metav1.Time) *corev1.ContainerStateTerminated {
	state := &corev1.ContainerStateTerminated{
		ExitCode: int32(ended.ExitCode()), Reason: "Completed", StartedAt: startedAt, FinishedAt: metav1.Now(),
	}
	if state.ExitCode != 0 {
		state.Reason = "Error"
	}
	return state
}

func (p *pod) waiting(reason, message string) {
	p.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// finish removes a deleted Pod from the API server, which waits for its
// kubelet to say that nothing of it runs, and says whether that worked.
func (p *pod) finish(ctx context.Context) bool {
	err := p.kubelet.client.Delete(ctx, p.object, client.GracePeriodSeconds(0), client.Preconditions{UID: &p.object.UID})
	if client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
		p.kubelet.log.Error("remove", "pod", p.name, "error", err)
		return false
	}
	p.kubelet.look()
	return true
}

// report writes the pod's status where it differs from what was written last.
func (p *pod) report(ctx context.Context) {
	next := p.status()
	if equality.Semantic.DeepEqual(p.written, next) {
		return
	}
	before := p.object.DeepCopy()
	before.Status = p.written
	after := before.DeepCopy()
	after.Status = next
	if err := p.kubelet.client.Status().Patch(ctx, after, client.MergeFrom(before)); err != nil {
		if client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
			p.kubelet.log.Error("report", "pod", p.name, "error", err)
		}
		return
	}
	p.written = next
	p.kubelet.look()
}

func (p *pod) status() corev1.PodStatus {
	container := p.object.Spec.Containers[0]
	next := *p.written.DeepCopy()
	next.ObservedGeneration = p.object.Generation
	next.HostIP, next.PodIP = podIP, podIP
	next.HostIPs, next.PodIPs = []corev1.HostIP{{IP: podIP}}, []corev1.PodIP{{IP: podIP}}
	if next.StartTime == nil {
		next.StartTime = ptr.To(metav1.Now())
	}
	next.Phase = corev1.PodPending
	if p.everStarted {
		next.Phase = corev1.PodRunning
	}
	next.ContainerStatuses = []corev1.ContainerStatus{{
		Name: container.Name, Image: container.Image, ImageID: container.Image,
		State: p.state, LastTerminationState: p.last,
		Ready: p.ready, Started: ptr.To(p.started), RestartCount: p.restarts,
	}}
	notReady := ""
	if !p.ready {
		notReady = "ContainersNotReady"
	}
	setPodCondition(&next, corev1.PodScheduled, true, "")
	setPodCondition(&next, corev1.PodInitialized, true, "")
	setPodCondition(&next, corev1.ContainersReady, p.ready, notReady)
	setPodCondition(&next, corev1.PodReady, p.ready, notReady)
	return next
}

func setPodCondition(status *corev1.PodStatus, kind corev1.PodConditionType, value bool, reason string) {
	next := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.Now()}
	if value {
		next.Status = corev1.ConditionTrue
	}
	for i := range status.Conditions {
		if c := &status.Conditions[i]; c.Type == kind {
			if c.Status == next.Status {
				next.LastTransitionTime = c.LastTransitionTime
			}
			*c = next
			return
		}
	}
	status.Conditions = append(status.Conditions, next)
}
