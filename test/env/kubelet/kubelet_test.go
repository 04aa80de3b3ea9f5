package kubelet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
	"github.com/weir-dev/weir/test/env/kubelet"
)

// serverVariable makes this test binary the server that the test's pods run.
const serverVariable = "WEIR_KUBELET_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
	}
	env.Main(m)
}

// platform is a control plane with its kubelet.
type platform struct {
	*kubelet.Kubelet
	api  client.Client
	logs string
}

var shared env.Shared[platform]

// start is the kubelet that all tests share, and a namespace for this one.
func start(t *testing.T) (platform, string) {
	t.Helper()
	t.Parallel()
	cluster := kube.Shared(t)
	p := shared.Get(t, func(context.Context) (platform, error) {
		api, err := client.New(cluster.Config, client.Options{})
		if err != nil {
			return platform{}, err
		}
		logs, err := os.MkdirTemp("", "weir-kubelet-test-")
		if err != nil {
			return platform{}, err
		}
		pods, err := kubelet.Start(kubelet.Config{API: cluster.Config, Commands: map[string]string{"/server": os.Args[0]}, LogDir: logs})
		return platform{pods, api, logs}, err
	})
	return p, cluster.Namespace(t)
}

func (p platform) Close() error {
	return errors.Join(p.Stop(), os.RemoveAll(p.logs))
}

// deployment runs the server, which is ready when its file "greeting" is there.
func deployment(namespace string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": "server"}
	get := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}}
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "server"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: ptr.To[int64](5),
					Containers: []corev1.Container{{
						Name:    "server",
						Image:   "server:1",
						Command: []string{"/server"},
						Args:    []string{"--listen=:$(HTTP_PORT)"},
						Env: []corev1.EnvVar{
							{Name: serverVariable, Value: "1"},
							{Name: "HTTP_PORT", Value: "8080"},
							{Name: "DIR", Value: "/etc/server"},
							{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
						},
						Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
						StartupProbe:   &corev1.Probe{ProbeHandler: get("/healthz"), PeriodSeconds: 1, FailureThreshold: 30},
						ReadinessProbe: &corev1.Probe{ProbeHandler: get("/readyz"), PeriodSeconds: 1, FailureThreshold: 1},
						LivenessProbe:  &corev1.Probe{ProbeHandler: get("/healthz"), PeriodSeconds: 1, FailureThreshold: 2, TimeoutSeconds: 1},
						VolumeMounts:   []corev1.VolumeMount{{Name: "config", MountPath: "/etc/server"}},
					}},
					Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
						Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
							LocalObjectReference: corev1.LocalObjectReference{Name: "config"},
							Items:                []corev1.KeyToPath{{Key: "greeting", Path: "text/greeting"}},
						}}},
					}}}},
				},
			},
		},
	}
}

func secret(namespace, greeting string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "config"},
		StringData: map[string]string{"greeting": greeting},
	}
}

// serve is the server: /healthz, /readyz, /greeting (its file), /pod (its
// name), /account (who it is to the API server).
func serve() {
	address := ""
	for _, arg := range os.Args[1:] {
		address = strings.TrimPrefix(arg, "--listen=")
	}
	greeting := filepath.Join(os.Getenv("DIR"), "text", "greeting")
	answer := func(text func() (string, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			answer, err := text()
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, answer)
		}
	}
	readGreeting := func() (string, error) { text, err := os.ReadFile(greeting); return string(text), err }
	http.HandleFunc("/healthz", answer(func() (string, error) { return "ok", nil }))
	http.HandleFunc("/readyz", answer(readGreeting))
	http.HandleFunc("/greeting", answer(readGreeting))
	http.HandleFunc("/account", answer(account))
	http.HandleFunc("/pod", answer(func() (string, error) { return os.Getenv("POD_NAME"), nil }))
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() {
		<-terminate
		fmt.Println("terminated in order")
		os.Exit(0)
	}()
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, nil))
	os.Exit(1)
}

// account is the user that the process is to the API server.
func account() (string, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return "", err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	review, err := clients.AuthenticationV1().SelfSubjectReviews().Create(context.Background(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

func TestDeploymentBecomesAvailableAndServes(t *testing.T) {
	p, namespace := start(t)
	p.create(t, secret(namespace, "hello"), deployment(namespace, 2))
	env.Until(t, "the Deployment to be available", func() bool {
		d := p.deployment(t, namespace)
		return d.Status.AvailableReplicas == 2 && d.Status.ObservedGeneration == d.Generation &&
			slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
				return c.Type == appsv1.DeploymentProgressing && c.Reason == "NewReplicaSetAvailable"
			})
	})
	if output, err := kube.Shared(t).Kubectl(t.Context(), "rollout", "status", "deployment/server", "--namespace", namespace, "--timeout=10s"); err != nil || !strings.Contains(output, "successfully rolled out") {
		t.Errorf("kubectl rollout status: got %q and %v", output, err)
	}
	pods := p.pods(t, namespace)
	if len(pods) != 2 || pods[0].Spec.Containers[0].Ports[0].ContainerPort == pods[1].Spec.Containers[0].Ports[0].ContainerPort {
		t.Errorf("got %d pods, want two with ports of their own", len(pods))
	}
	for _, pod := range pods {
		if got := fetch(t, pod, "/pod"); got != pod.Name {
			t.Errorf("the process of %s says that its pod is %q", pod.Name, got)
		}
	}
}

func TestMissingSecretKeepsThePodCreating(t *testing.T) {
	p, namespace := start(t)
	p.create(t, deployment(namespace, 1))
	env.Until(t, "the pod to say what it waits for", func() bool {
		pods := p.pods(t, namespace)
		if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 {
			return false
		}
		waiting := pods[0].Status.ContainerStatuses[0].State.Waiting
		return pods[0].Status.Phase == corev1.PodPending && waiting != nil && waiting.Reason == "ContainerCreating" &&
			strings.Contains(waiting.Message, `secret "config" not found`)
	})
	p.create(t, secret(namespace, "late"))
	p.awaitReady(t, namespace, 1)
}

func TestChangedSecretReachesTheProcess(t *testing.T) {
	p, namespace := start(t)
	p.create(t, secret(namespace, "old"), deployment(namespace, 1))
	pod := p.awaitReady(t, namespace, 1)[0]
	if got := fetch(t, pod, "/greeting"); got != "old" {
		t.Errorf("got greeting %q, want old", got)
	}
	if err := p.api.Update(t.Context(), secret(namespace, "new")); err != nil {
		t.Fatal(err)
	}
	env.Until(t, "the new greeting", func() bool { return fetch(t, pod, "/greeting") == "new" })
}

func TestRollingUpdateKeepsTheServiceUp(t *testing.T) {
	p, namespace := start(t)
	p.create(t, secret(namespace, "hello"), deployment(namespace, 2))
	before := p.awaitReady(t, namespace, 2)
	p.change(t, namespace, func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"version": "2"}
	})
	env.Until(t, "two new pods and no old one", func() bool {
		pods := p.pods(t, namespace)
		ready := 0
		for _, pod := range pods {
			if isReady(pod) {
				ready++
			}
		}
		if ready < 2 {
			t.Fatalf("%d pods are ready during the update, want at least 2", ready)
		}
		return len(pods) == 2 && ready == 2 && pods[0].Annotations["version"] == "2" && pods[1].Annotations["version"] == "2"
	})
	for _, pod := range before {
		log, err := os.ReadFile(filepath.Join(p.logs, pod.Namespace+"_"+pod.Name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(log), "terminated in order") {
			t.Errorf("the log of %s is %q, want it to have had a SIGTERM", pod.Name, log)
		}
	}
}

func TestKilledAndHangingProcessesAreRestarted(t *testing.T) {
	p, namespace := start(t)
	p.create(t, secret(namespace, "hello"), deployment(namespace, 1))
	pod := p.awaitReady(t, namespace, 1)[0]
	for i, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		if err := p.Signal(namespace, pod.Name, signal); err != nil {
			t.Fatal(err)
		}
		restarts := int32(i + 1)
		env.Until(t, fmt.Sprintf("restart %d to be ready", restarts), func() bool {
			pod = p.pods(t, namespace)[0]
			return pod.Status.ContainerStatuses[0].RestartCount == restarts && isReady(pod)
		})
		if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 137 {
			t.Errorf("after %s: got last state %v, want exit code 137", signal, last)
		}
	}
}

func TestDeletedDeploymentLeavesNothing(t *testing.T) {
	p, namespace := start(t)
	d := deployment(namespace, 2)
	p.create(t, secret(namespace, "hello"), d)
	p.awaitReady(t, namespace, 2)
	dependent := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "dependent",
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
	}}
	p.create(t, dependent)
	if err := p.api.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	env.Until(t, "pods, processes and the ConfigMap to go", func() bool {
		running := slices.ContainsFunc(p.Running(), func(r kubelet.Running) bool { return r.Namespace == namespace })
		err := p.api.Get(t.Context(), client.ObjectKeyFromObject(dependent), &corev1.ConfigMap{})
		return len(p.pods(t, namespace)) == 0 && !running && apierrors.IsNotFound(err)
	})
}

func TestRefusedPodIsReported(t *testing.T) {
	p, namespace := start(t)
	label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	if err := p.api.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, client.RawPatch(types.MergePatchType, label)); err != nil {
		t.Fatal(err)
	}
	p.create(t, deployment(namespace, 1))
	env.Until(t, "the Deployment to say why it has no pod", func() bool {
		return slices.ContainsFunc(p.deployment(t, namespace).Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentReplicaFailure && strings.Contains(c.Message, `violates PodSecurity "restricted`)
		})
	})
}

func TestUnknownCommandIsReported(t *testing.T) {
	p, namespace := start(t)
	d := deployment(namespace, 1)
	d.Spec.Template.Spec.Containers[0].Command = []string{"/other"}
	p.create(t, secret(namespace, "hello"), d)
	env.Until(t, "the pod to say what is wrong", func() bool {
		pods := p.pods(t, namespace)
		if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 {
			return false
		}
		waiting := pods[0].Status.ContainerStatuses[0].State.Waiting
		return waiting != nil && waiting.Reason == "CreateContainerConfigError" && strings.Contains(waiting.Message, `"/other": no such file`)
	})
}

func TestScaleDown(t *testing.T) {
	p, namespace := start(t)
	p.create(t, secret(namespace, "hello"), deployment(namespace, 2))
	p.awaitReady(t, namespace, 2)
	p.change(t, namespace, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](0) })
	env.Until(t, "all pods to go", func() bool { return len(p.pods(t, namespace)) == 0 })
}

func TestProcessIsItsPodsServiceAccount(t *testing.T) {
	p, namespace := start(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "server"}}
	d := deployment(namespace, 1)
	d.Spec.Template.Spec.ServiceAccountName = account.Name
	p.create(t, account, secret(namespace, "hello"), d)
	pod := p.awaitReady(t, namespace, 1)[0]
	if got, want := fetch(t, pod, "/account"), "system:serviceaccount:"+namespace+":server"; got != want {
		t.Errorf("the process is %q to the API server, want %q", got, want)
	}
}

func (p platform) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := p.api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// change patches the Deployment, whose status the kubelet writes meanwhile.
func (p platform) change(t *testing.T, namespace string, change func(*appsv1.Deployment)) {
	t.Helper()
	d := p.deployment(t, namespace)
	before := d.DeepCopy()
	change(d)
	if err := p.api.Patch(t.Context(), d, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func (p platform) deployment(t *testing.T, namespace string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := p.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "server"}, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (p platform) pods(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := p.api.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// awaitReady waits until a namespace has n pods, all of them ready.
func (p platform) awaitReady(t *testing.T, namespace string, n int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	env.Until(t, fmt.Sprintf("%d ready pods", n), func() bool {
		pods = p.pods(t, namespace)
		return len(pods) == n && !slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return !isReady(pod) })
	})
	return pods
}

func isReady(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// fetch is the body of a pod's page, from the port that the Pod names.
func fetch(t *testing.T, pod corev1.Pod, path string) string {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://%s:%d%s", pod.Status.PodIP, pod.Spec.Containers[0].Ports[0].ContainerPort, path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
