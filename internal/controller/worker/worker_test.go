package worker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/internal/relay/config"
)

// podOf is a running pod whose port named http is the server's.
func podOf(t *testing.T, server *httptest.Server) *corev1.Pod {
	t.Helper()
	address := server.Listener.Addr().(*net.TCPAddr)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "worker-1"}}
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: httpPort, ContainerPort: int32(address.Port)}}}}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address.IP.String()}
	return pod
}

func TestReadState(t *testing.T) {
	t.Parallel()
	var answer http.HandlerFunc
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer server.Close()
	pod := podOf(t, server)
	asker := NewObserver(nil).http
	read := func() (*config.OutboxState, string) {
		t.Helper()
		state, err := readState[config.OutboxState](t.Context(), asker, pod)
		if err != nil {
			return state, err.Error()
		}
		return state, ""
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := &config.OutboxState{Name: "shop/orders", Phase: config.Active, PendingRows: 7, LastPublished: since}
	answer = func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != config.StatePath {
			http.NotFound(w, request)
			return
		}
		_ = json.NewEncoder(w).Encode(want) // a reader that went away is the test's problem
	}
	if state, words := read(); words != "" || !cmp.Equal(want, state) {
		t.Errorf("read %+v, %s", state, words)
	}
	redirected := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { redirected = true }))
	defer elsewhere.Close()
	for words, wrong := range map[string]http.HandlerFunc{
		"answers /state with status 500 Internal Server Error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"answers /state with what is not a worker's state":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"answers /state with status 302 Found": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		},
	} {
		answer = wrong
		if _, got := read(); got != "pod worker-1 "+words {
			t.Errorf("got %q, want %q", got, words)
		}
	}
	if redirected {
		t.Error("a pod sent the operator elsewhere")
	}
	answer = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"name":%q}`, strings.Repeat("x", mostState))
	}
	if _, got := read(); got != "pod worker-1 answers /state with what is not a worker's state" {
		t.Errorf("of an endless answer: %q", got)
	}
	server.Close()
	if _, got := read(); got != "pod worker-1 does not answer: it is Running" {
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

// In a namespace that enforces the restricted pod security standard, the
// workers' pods are admitted.
func TestWorkersAreRestricted(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	live, err := client.New(control.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: env.Unique("restricted"), Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := live.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Spec{
		{Name: "outbox", Component: "outbox", Image: "weir:1", Secrets: []corev1.VolumeProjection{KafkaFiles("kafka", []string{"username", "password"})}},
		{Name: "retry", Component: "retry", Image: "weir:1", Followed: true, Template: v1alpha1.PodTemplate{Labels: map[string]string{"team": "shop"}}},
	} {
		template := w.Deployment().Spec.Template
		pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		pod.Namespace, pod.Name = namespace.Name, w.Name
		if err := live.Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", w.Name, err)
		}
		pod.ResourceVersion = ""
		pod.Spec.Containers[0].SecurityContext = nil
		if err := live.Create(t.Context(), pod, client.DryRunAll); err == nil {
			t.Error("the API server does not enforce the standard")
		}
	}
}

// What many groups ask for is spread over several ConfigMaps, each of which the API
// server takes, and a file stays where it is while their number does.
func TestFilesInParts(t *testing.T) {
	t.Parallel()
	spec := func(files int) Spec {
		w := Spec{Name: "weir-retry-main", Namespace: "weir-system", Component: "retry", Image: "weir:1", Followed: true, Files: map[string]string{}}
		for i := range files {
			w.Files[config.GroupFile(strconv.Itoa(i))] = strings.Repeat("x", 2_500)
		}
		return w
	}
	one, many, more := spec(100), spec(1_000), spec(1_001)
	if maps := one.ConfigMaps(); len(maps) != 1 || maps[0].Name != one.FilesNames()[0] {
		t.Errorf("100 files are in %d ConfigMaps", len(maps))
	}
	all := map[string]string{}
	for _, files := range many.ConfigMaps() {
		size := 0
		for name, text := range files.Data {
			size += len(name) + len(text)
			all[name] = files.Name
		}
		if size > mostInOne {
			t.Errorf("ConfigMap %s has %d bytes", files.Name, size)
		}
	}
	if len(all) != 1_000 {
		t.Errorf("%d of 1,000 files are there", len(all))
	}
	for _, files := range more.ConfigMaps() {
		for name := range files.Data {
			if was, known := all[name]; known && was != files.Name {
				t.Errorf("file %s moved from %s to %s", name, was, files.Name)
			}
		}
	}
	if mounted := MountedFiles(many.Deployment().Spec.Template.Spec); !slices.Equal(mounted, many.FilesNames()) || len(mounted) < 2 {
		t.Errorf("the pods mount %v", mounted)
	}
}
