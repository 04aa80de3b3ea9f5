package controller

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	h.must(h.live.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: mountedFiles(of.Spec.Template.Spec)}, files))
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

func TestReadState(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	deployment := worker{name: "worker", namespace: h.namespace, component: "outbox", image: "weir:test"}.deployment()
	deployment.OwnerReferences = nil
	h.must(h.live.Create(t.Context(), deployment))
	p := h.pod(h.namespace, "worker")
	name := p.Name
	read := func() (*config.OutboxState, string) {
		t.Helper()
		state, err := readState[config.OutboxState](t.Context(), h.set.relay.http, p.Pod)
		if err != nil {
			return state, err.Error()
		}
		return state, ""
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := &config.OutboxState{Name: "shop/orders", Phase: config.Active, PendingRows: 7, LastPublished: since}
	p.says(want)
	if state, words := read(); words != "" || !cmp.Equal(want, state) {
		t.Errorf("read %+v, %s", state, words)
	}
	redirected := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { redirected = true }))
	defer elsewhere.Close()
	for words, answer := range map[string]http.HandlerFunc{
		"answers /state with status 500 Internal Server Error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"answers /state with what is not a worker's state":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"answers /state with status 302 Found": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		},
	} {
		p.answers(answer)
		if _, got := read(); got != "pod "+name+" "+words {
			t.Errorf("got %q, want %q", got, words)
		}
	}
	if redirected {
		t.Error("a pod sent the operator elsewhere")
	}
	p.answers(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"name":%q}`, strings.Repeat("x", mostState))
	})
	if _, got := read(); got != "pod "+name+" answers /state with what is not a worker's state" {
		t.Errorf("of an endless answer: %q", got)
	}
	p.server.Close()
	if _, got := read(); got != "pod "+name+" does not answer: it is Running" {
		t.Errorf("of a closed port: %q", got)
	}
}

func TestWhyNotRunning(t *testing.T) {
	t.Parallel()
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}}
	}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"an image that cannot be had": {waiting("ErrImagePull", "no such image"), `image "" cannot be pulled (ErrImagePull): check its name, and imagePullSecrets`},
		"a crash loop":                {waiting("CrashLoopBackOff", "back-off 40s restarting"), "its container ends again and again; see its log: kubectl -n shop logs worker-1"},
		"no node": {
			corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
				{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, Message: "initialized"},
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"},
			}},
			"0/3 nodes are available",
		},
		"a pod without any status": {corev1.PodStatus{}, "it is Pending"},
		"a pod that has ended":     {corev1.PodStatus{Phase: corev1.PodFailed}, "it is Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "worker-1"}, Status: test.status}
			_, err := readState[config.OutboxState](t.Context(), http.DefaultClient, pod)
			if want := "pod worker-1 is not running: " + test.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
