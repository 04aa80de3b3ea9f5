package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/relay/config"
)

// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// stateTimeout bounds one look at one worker.
const stateTimeout = 2 * time.Second

// mostState is the most bytes of a state that are read.
const mostState = 1 << 20

// Observer reads the state of workers over HTTP from their pods.
type Observer struct {
	client client.Client
	http   *http.Client
}

// NewObserver finds the pods through c, and asks them itself.
func NewObserver(c client.Client) Observer {
	return Observer{client: c, http: &http.Client{
		Timeout: stateTimeout,
		// Pods are asked directly, and asked nothing else than their state.
		Transport:     &http.Transport{IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// PodState is what one pod of a worker says.
type PodState[S any] struct {
	Pod string
	// Current: the pod runs the config that is rendered now.
	Current bool
	// State is nil where the pod could not be asked; err says why.
	State *S
	Err   error
}

// States asks every pod of a worker's Deployment for its state, all at once,
// newest pod first.
func States[S any](ctx context.Context, o Observer, deployment *appsv1.Deployment) ([]PodState[S], error) {
	var pods corev1.PodList
	if err := o.client.List(ctx, &pods, client.InNamespace(deployment.Namespace), client.MatchingLabels(deployment.Spec.Selector.MatchLabels)); err != nil {
		return nil, fmt.Errorf("listing the worker's pods: %w", err)
	}
	staying := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !pod.DeletionTimestamp.IsZero() })
	slices.SortFunc(staying, func(a, b corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	current := deployment.Spec.Template.Annotations[ConfigAnnotation]
	states := make([]PodState[S], len(staying))
	var asking sync.WaitGroup
	for i := range staying {
		pod := &staying[i]
		states[i] = PodState[S]{Pod: pod.Name, Current: pod.Annotations[ConfigAnnotation] == current}
		asking.Go(func() { states[i].State, states[i].Err = readState[S](ctx, o.http, pod) })
	}
	asking.Wait()
	return states, nil
}

func readState[S any](ctx context.Context, c *http.Client, pod *corev1.Pod) (*S, error) {
	port := portOf(pod)
	if pod.Status.PodIP == "" || port == 0 || pod.Status.Phase != corev1.PodRunning {
		return nil, fmt.Errorf("pod %s is not running: %s", pod.Name, whyNotRunning(pod))
	}
	url := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port))) + config.StatePath
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, fmt.Errorf("pod %s does not answer: %s", pod.Name, whyNotRunning(pod))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("pod %s answers %s with status %s", pod.Name, config.StatePath, response.Status)
	}
	state := new(S)
	if err := json.NewDecoder(io.LimitReader(response.Body, mostState)).Decode(state); err != nil {
		return nil, fmt.Errorf("pod %s answers %s with what is not a worker's state", pod.Name, config.StatePath)
	}
	return state, nil
}

// portOf is the port named http: pods say it, nobody assumes it.
func portOf(pod *corev1.Pod) int32 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == httpPort {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// whyNotRunning is what the kubelet says of a pod that does not run or answer,
// without what changes while the situation is the same.
func whyNotRunning(pod *corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		switch waiting := status.State.Waiting; {
		case waiting == nil:
		case waiting.Reason == "CrashLoopBackOff": // its message counts the seconds
			return "its container ends again and again; see its log: kubectl -n " + pod.Namespace + " logs " + pod.Name
		case slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}, waiting.Reason):
			// Its message names addresses and ports of the registry's.
			return fmt.Sprintf("image %q cannot be pulled (%s): check its name, and imagePullSecrets", status.Image, waiting.Reason)
		default:
			return strings.TrimSpace(waiting.Reason + " " + waiting.Message)
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Status == corev1.ConditionFalse && condition.Message != "" {
			return condition.Message
		}
	}
	return "it is " + string(cmp.Or(pod.Status.Phase, corev1.PodPending))
}

// podName is how Kubernetes names a pod that it does not make.
var podName = regexp.MustCompile(`^pods "[^"]*" is `)

// WhyNoPod is why Kubernetes makes no pod for a Deployment: a quota, a policy, a
// ServiceAccount that is missing. It is empty where nothing is in the way.
func WhyNoPod(deployment *appsv1.Deployment) string {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			// The pod would have another name at each attempt.
			return "Kubernetes makes no pod for the worker: " + podName.ReplaceAllString(condition.Message, "")
		}
	}
	return ""
}

// Status is what the operator sees of a Deployment.
func Status(deployment *appsv1.Deployment) *v1alpha1.WorkloadStatus {
	return &v1alpha1.WorkloadStatus{
		Name:          deployment.Name,
		Replicas:      ptr.Deref(deployment.Spec.Replicas, 0),
		ReadyReplicas: deployment.Status.ReadyReplicas,
	}
}

// conditionReason is what the API server accepts for the reason of a condition.
var conditionReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]{0,100}[A-Za-z0-9_])?$`)

// Reason is the reason of a worker's problem; workers may be of another
// version than the operator.
func Reason(problem *config.Problem) string {
	if conditionReason.MatchString(problem.Reason) {
		return problem.Reason
	}
	return "WorkerFailing"
}
