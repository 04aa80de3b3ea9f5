package controller

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

// fakePod is a Pod object of a Deployment, and a real HTTP server behind it.
type fakePod struct {
	*corev1.Pod
	h      *harness
	server *httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

// says makes the pod answer with a state.
func (p *fakePod) says(state any) {
	p.h.Helper()
	body, err := json.Marshal(state)
	p.h.must(err)
	p.answers(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != config.StatePath {
			http.NotFound(w, request)
			return
		}
		_, _ = w.Write(body) // a reader that went away is the test's problem
	})
}

func (p *fakePod) answers(with http.HandlerFunc) { p.answer.Store(&with) }

// pod runs a pod of a Deployment as it is now; it is Starting until told otherwise.
func (h *harness) pod(namespace, deployment string) *fakePod {
	h.Helper()
	var of appsv1.Deployment
	h.await(func() string {
		if err := h.live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: deployment}, &of); err != nil {
			return err.Error()
		}
		return ""
	})
	p := &fakePod{h: h}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }))
	h.Cleanup(p.server.Close)
	p.says(config.OutboxState{Phase: config.Starting})

	_, text, err := net.SplitHostPort(strings.TrimPrefix(p.server.URL, "http://"))
	h.must(err)
	port, err := strconv.Atoi(text)
	h.must(err)
	p.Pod = &corev1.Pod{ObjectMeta: of.Spec.Template.ObjectMeta, Spec: of.Spec.Template.Spec}
	p.Namespace, p.GenerateName = namespace, deployment+"-"
	p.Spec.Containers[0].Ports[0].ContainerPort = int32(port) // as the stand-in for the kubelet does
	h.must(h.live.Create(h.Context(), p.Pod))
	p.status(corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}})
	return p
}

// files are the files of a worker, nil where there is no worker.
func (h *harness) files(namespace, deployment string) *corev1.ConfigMap {
	h.Helper()
	var of appsv1.Deployment
	err := h.live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: deployment}, &of)
	h.must(client.IgnoreNotFound(err))
	if err != nil {
		return nil
	}
	files := new(corev1.ConfigMap)
	h.must(h.live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: worker.MountedFiles(of.Spec.Template.Spec)}, files))
	return files
}

// exists says whether the team's namespace has an object of that name.
func (h *harness) exists(obj client.Object, name string) bool {
	h.Helper()
	err := h.live.Get(h.Context(), client.ObjectKey{Namespace: h.namespace, Name: name}, obj)
	h.must(client.IgnoreNotFound(err))
	return err == nil
}

// status replaces the pod's status, and waits until the cache has it.
func (p *fakePod) status(status corev1.PodStatus) {
	p.h.Helper()
	p.Status = status
	p.h.must(p.h.live.Status().Update(p.h.Context(), p.Pod))
	p.h.sync(p.Pod)
}

// remove deletes the pod, and waits until the cache knows.
func (p *fakePod) remove() {
	p.h.Helper()
	p.h.must(p.h.live.Delete(p.h.Context(), p.Pod, client.GracePeriodSeconds(0)))
	p.h.sync(p.Pod)
}
