package harness

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

// Pod is a Pod object of a Deployment, and a real HTTP server behind it.
type Pod struct {
	*corev1.Pod
	h      *Harness
	server *httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

// Says makes the pod answer with a state.
func (p *Pod) Says(state any) {
	p.h.Helper()
	body, err := json.Marshal(state)
	p.h.Must(err)
	p.Answers(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != config.StatePath {
			http.NotFound(w, request)
			return
		}
		_, _ = w.Write(body) // a reader that went away is the test's problem
	})
}

// HasRead makes a pod of the retry worker say that it works, has read what it is
// told of each group now, and has so many records waiting in each one that it drains.
func (p *Pod) HasRead(waiting int64) {
	p.h.Helper()
	state := config.RetryState{Phase: config.Active, Groups: map[string]config.GroupState{}}
	var told map[string]string
	if files := p.h.Files(p.Namespace, strings.TrimSuffix(p.GenerateName, "-")); files != nil {
		told = files.Data
	}
	for name, text := range told {
		if !config.IsGroupFile(name) {
			continue
		}
		var group config.RetryGroup
		p.h.Must(json.Unmarshal([]byte(text), &group))
		said := config.GroupState{Group: group.Group, Digest: config.Digest(text)}
		if group.Draining != "" {
			said.Waiting = &waiting
		}
		state.Groups[name] = said
	}
	p.Says(state)
}

// Answers makes the pod answer in another way.
func (p *Pod) Answers(with http.HandlerFunc) { p.answer.Store(&with) }

// Pod runs a pod of a Deployment as it is now; it is Starting until told otherwise.
func (h *Harness) Pod(namespace, deployment string) *Pod {
	h.Helper()
	var of appsv1.Deployment
	h.Await(func() string {
		if err := h.Live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: deployment}, &of); err != nil {
			return err.Error()
		}
		return ""
	})
	p := &Pod{h: h}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }))
	h.Cleanup(p.server.Close)
	p.Says(config.OutboxState{Phase: config.Starting})

	_, text, err := net.SplitHostPort(strings.TrimPrefix(p.server.URL, "http://"))
	h.Must(err)
	port, err := strconv.Atoi(text)
	h.Must(err)
	p.Pod = &corev1.Pod{ObjectMeta: of.Spec.Template.ObjectMeta, Spec: of.Spec.Template.Spec}
	p.Namespace, p.GenerateName = namespace, deployment+"-"
	p.Spec.Containers[0].Ports[0].ContainerPort = int32(port) // as the stand-in for the kubelet does
	h.Must(h.Live.Create(h.Context(), p.Pod))
	p.SetStatus(corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}})
	return p
}

// Files are the files of a worker, nil where there is no worker.
func (h *Harness) Files(namespace, deployment string) *corev1.ConfigMap {
	h.Helper()
	var of appsv1.Deployment
	err := h.Live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: deployment}, &of)
	h.Must(client.IgnoreNotFound(err))
	if err != nil {
		return nil
	}
	files := new(corev1.ConfigMap)
	h.Must(h.Live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: worker.MountedFiles(of.Spec.Template.Spec)[0]}, files))
	return files
}

// Exists says whether the team's namespace has an object of that name.
func (h *Harness) Exists(obj client.Object, name string) bool {
	h.Helper()
	err := h.Live.Get(h.Context(), client.ObjectKey{Namespace: h.Namespace, Name: name}, obj)
	h.Must(client.IgnoreNotFound(err))
	return err == nil
}

// SetStatus replaces the pod's status, and waits until the cache has it.
func (p *Pod) SetStatus(status corev1.PodStatus) {
	p.h.Helper()
	p.Status = status
	p.h.Must(p.h.Live.Status().Update(p.h.Context(), p.Pod))
	p.h.Sync(p.Pod)
}

// Remove deletes the pod, and waits until the cache knows.
func (p *Pod) Remove() {
	p.h.Helper()
	p.h.Must(p.h.Live.Delete(p.h.Context(), p.Pod, client.GracePeriodSeconds(0)))
	p.h.Sync(p.Pod)
}
