package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// startOperator runs the real manager, with the rights of the generated role
// and no others, on a control plane of its own, and stops it with the test. It
// looks at nothing again by itself within the time that await waits, so that
// what happens is what watches bring about.
func startOperator(t *testing.T) (*harness.Harness, *rights) {
	t.Helper()
	control, err := kube.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := control.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &harness.Harness{T: t, Kafka: env.SharedKafka(t), Namespace: control.Namespace(t), Operator: control.Namespace(t)}
	h.Must(control.InstallCRDs(t.Context()))
	h.Must(control.InstallPrometheusRules())
	h.Live, err = client.New(control.Config, client.Options{Scheme: controller.NewScheme()})
	h.Must(err)

	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", "role.yaml"))
	h.Must(err)
	var role rbacv1.ClusterRole
	h.Must(yaml.UnmarshalStrict(text, &role))
	h.Must(h.Live.Create(t.Context(), &role))
	h.Must(h.Live.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: h.Operator, Name: "weir-manager"}},
	}))
	// The Roles of the operator's own namespace are beside it. It may read Secrets
	// in no other, as config/namespaced has it.
	for _, file := range []string{"record.yaml", "own_pod.yaml", "secrets.yaml"} {
		role := roleOf(h, file)
		h.Must(h.Live.Create(t.Context(), role))
		h.Must(h.Live.Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Operator, Name: role.Name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: h.Operator, Name: "weir-manager"}},
		}))
	}
	used := &rights{role: role, used: map[string]bool{}}
	as := rest.CopyConfig(control.Config)
	as.Wrap(func(next http.RoundTripper) http.RoundTripper { return exercised{next, used} })
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + h.Operator + ":weir-manager"}
	mgr, err := manager.New(as, manager.Options{
		Scheme: controller.NewScheme(), Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)}, // one process, several runs of the test
	})
	h.Must(err)
	ctx, cancel := context.WithCancel(context.Background())
	h.Must(controller.Setup(ctx, mgr, controller.Options{
		Namespace: h.Operator, Image: "weir:test", Concurrency: 4,
		Resync: time.Hour, LagInterval: 200 * time.Millisecond, StatusInterval: time.Hour, PollInterval: time.Hour,
		Leads: func(context.Context) (bool, error) { return true, nil },
		Fatal: func(err error) { t.Errorf("the operator was to end: %v", err) },
	}))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h, used
}

// roleOf is the shipped Role in a file, for the operator's namespace.
func roleOf(h *harness.Harness, file string) *rbacv1.Role {
	h.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
	h.Must(err)
	first, _, _ := strings.Cut(string(text), "\n---\n")
	role := new(rbacv1.Role)
	h.Must(yaml.UnmarshalStrict([]byte(first), role))
	role.Namespace = h.Operator
	return role
}

// rights are what the operator may do, and what of it it has done.
type rights struct {
	role rbacv1.ClusterRole
	mu   sync.Mutex
	used map[string]bool // "verb group/resource"
}

type exercised struct {
	next http.RoundTripper
	*rights
}

func (e exercised) RoundTrip(request *http.Request) (*http.Response, error) {
	e.enter(request)
	return e.next.RoundTrip(request)
}

// enter notes which right a request needs, as the API server reads its path:
// /api/v1/… or /apis/<group>/<version>/…, then [namespaces/<name>/]<resource>[/<name>[/<subresource>]].
func (r *rights) enter(request *http.Request) {
	path := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	group := ""
	switch {
	case path[0] == "api" && len(path) > 2:
		path = path[2:]
	case path[0] == "apis" && len(path) > 3:
		group, path = path[1], path[3:]
	default:
		return // discovery
	}
	if path[0] == "namespaces" && len(path) > 2 {
		path = path[2:]
	}
	resource := path[0]
	if len(path) > 2 {
		resource += "/" + path[2]
	}
	verb := map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[request.Method]
	switch {
	case verb == "get" && len(path) == 1:
		// A cache lists and watches; where the API server can, in one request.
		r.use("watch", group, resource)
		verb = "list"
	case request.Header.Get("Content-Type") == string(types.ApplyYAMLPatchType):
		r.use("create", group, resource)
	}
	r.use(verb, group, resource)
}

func (r *rights) use(verb, group, resource string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[verb+" "+group+"/"+resource] = true
}

// unused are the rights that the operator has and has not used.
func (r *rights) unused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var unused []string
	for _, rule := range r.role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if right := verb + " " + group + "/" + resource; !r.used[right] {
						unused = append(unused, right)
					}
				}
			}
		}
	}
	slices.Sort(unused)
	return unused
}

// awaits waits until a condition has the reason.
func awaits(h *harness.Harness, obj client.Object, condition, reason string) {
	h.Helper()
	h.Await(func() string {
		if err := h.Live.Get(h.Context(), harness.KeyOf(obj), obj); err != nil {
			return err.Error()
		}
		if found := h.Condition(obj, condition); found.Reason != reason {
			return fmt.Sprintf("%s of %s is %s/%s: %s", condition, harness.KeyOf(obj), found.Status, found.Reason, found.Message)
		}
		return ""
	})
	h.Conforms(obj)
}

func awaitsGone(h *harness.Harness, obj client.Object) {
	h.Helper()
	h.Await(func() string {
		if !h.Gone(obj) {
			return fmt.Sprintf("%T %s is still there", obj, harness.KeyOf(obj))
		}
		return ""
	})
}

func TestOperator(t *testing.T) {
	t.Parallel()
	h, rights := startOperator(t)
	apply := func(obj client.Object) {
		t.Helper()
		h.Must(h.Live.Create(t.Context(), obj))
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: h.Namespace, Name: name} }

	// Everything, in the wrong order.
	group := &v1alpha1.ConsumerGroup{ObjectMeta: meta("billing"), Spec: v1alpha1.ConsumerGroupSpec{
		GroupID: h.Namespace + ".billing", Principal: "User:billing", Topics: []v1alpha1.TopicReference{{Name: "orders"}},
		Lag: v1alpha1.LagObjective{MaxRecords: new(int64(10))}, DeadLetterPolicyRef: &v1alpha1.LocalReference{Name: "standard"},
	}}
	relay := &v1alpha1.OutboxRelay{ObjectMeta: meta("orders"), Spec: v1alpha1.OutboxRelaySpec{
		Database: v1alpha1.Database{ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "db", Key: "uri"}},
		Routes:   []v1alpha1.Route{{TopicRef: v1alpha1.TopicReference{Name: "orders"}}},
		Kafka:    v1alpha1.KafkaCredentials{Principal: "User:shop-relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "relay"}},
	}}
	topic := &v1alpha1.Topic{ObjectMeta: meta("orders"), Spec: v1alpha1.TopicSpec{Partitions: new(int32(1)), DeletionPolicy: v1alpha1.DeleteData}}
	h.Secret(h.Namespace, "db", "uri", "postgresql://db")
	h.Secret(h.Namespace, "relay", "username", "shop-relay", "password", "secret")
	h.Secret(h.Operator, "weir-kafka", "username", h.Kafka.Admin.Name, "password", h.Kafka.Admin.Password)
	for _, obj := range []client.Object{group, relay, topic} {
		apply(obj)
	}
	for _, obj := range []client.Object{group, relay, topic} {
		awaits(h, obj, v1alpha1.ConditionReady, v1alpha1.ReasonClusterNotFound)
	}

	// A cluster that becomes the default later wakes all who wait for one.
	cluster := h.ClusterSpec()
	h.WithRetryWorker(cluster)
	cluster.Spec.Namespaces = v1alpha1.ClusterNamespaces{
		From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: h.Namespace}},
	}
	apply(cluster)
	awaits(h, cluster, v1alpha1.ConditionReady, v1alpha1.ReasonConnected)
	h.Edit(cluster, func() { cluster.Annotations = map[string]string{v1alpha1.DefaultClusterAnnotation: "true"} })
	awaits(h, topic, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	awaits(h, relay, v1alpha1.ConditionReady, v1alpha1.ReasonProgressing)
	h.Wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	awaits(h, group, v1alpha1.ConditionReady, v1alpha1.ReasonPolicyNotFound)

	// A policy wakes its groups, a group its policy and the retry worker.
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: meta("standard")}
	apply(policy)
	awaits(h, policy, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	awaits(h, group, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	awaits(h, cluster, v1alpha1.ConditionRetryWorkerReady, v1alpha1.ReasonProgressing)
	h.Await(func() string {
		h.Must(h.Live.Get(t.Context(), harness.KeyOf(policy), policy))
		if policy.Status.ConsumerGroups != 1 {
			return fmt.Sprintf("the policy counts %d groups", policy.Status.ConsumerGroups)
		}
		return ""
	})

	// A Topic wakes who waits for it.
	late := &v1alpha1.ConsumerGroup{ObjectMeta: meta("late"), Spec: v1alpha1.ConsumerGroupSpec{
		GroupID: h.Namespace + ".late", Principal: "User:late", Topics: []v1alpha1.TopicReference{{Name: "payments"}},
	}}
	apply(late)
	awaits(h, late, v1alpha1.ConditionReady, v1alpha1.ReasonTopicNotFound)
	payments := &v1alpha1.Topic{ObjectMeta: meta("payments")}
	apply(payments)
	awaits(h, late, v1alpha1.ConditionReady, v1alpha1.ReasonReady)

	// Lag is served, and a verdict wakes its group.
	wantsSeries(h, "kafka_consumergroup_group_lag", 1)
	wantsSeries(h, "weir_consumergroup_slo_met", 1)
	h.Produce(topic.Status.TopicName, 11, time.Now())
	awaits(h, group, v1alpha1.ConditionLagging, v1alpha1.ReasonRecordLag)

	// Its alert comes and goes.
	rule := &monitoringv1.PrometheusRule{ObjectMeta: meta("weir-billing")}
	h.Await(func() string {
		if h.Gone(rule) {
			return "there is no PrometheusRule"
		}
		return ""
	})
	h.Edit(group, func() { group.Spec.Alerts.Enabled = new(false) })
	awaitsGone(h, rule)

	// So does the retry worker.
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: h.Operator, Name: kafkacluster.RetryWorkerName(cluster.Name)}}
	if h.Gone(deployment) {
		t.Error("there is no retry worker")
	}
	pod := h.Pod(h.Operator, deployment.Name)
	h.Edit(group, func() { group.Spec.DeadLetterPolicyRef = nil })
	awaits(h, group, v1alpha1.ConditionDraining, v1alpha1.ReasonPolicyRemoved)
	h.Await(func() string {
		if h.Gone(deployment) {
			return ""
		}
		pod.HasRead(0)
		return "the retry worker is still there"
	})

	// Users of a Topic keep it, and the last of them wakes it when it goes.
	h.Must(h.Live.Delete(t.Context(), topic))
	awaits(h, topic, v1alpha1.ConditionReady, v1alpha1.ReasonInUse)
	for _, obj := range []client.Object{relay, group} {
		h.Must(h.Live.Delete(t.Context(), obj))
		awaitsGone(h, obj)
	}
	awaitsGone(h, topic)
	wantsSeries(h, "weir_consumergroup_slo_met", 0)
	for _, obj := range []client.Object{late, payments} {
		h.Must(h.Live.Delete(t.Context(), obj))
		awaitsGone(h, obj)
	}
	h.Await(func() string {
		if !h.Gone(deployment) {
			pod.HasRead(0) // their lanes are drained
		}
		h.Must(h.Live.Get(t.Context(), harness.KeyOf(cluster), cluster))
		if status := cluster.Status; status.ACLBindings != 0 || status.PendingRemovals != 0 {
			return fmt.Sprintf("%d ACL bindings are Weir's, %d wait for their removal since %s", status.ACLBindings, status.PendingRemovals, status.PendingSince)
		}
		return ""
	})
	h.Must(h.Live.Delete(t.Context(), cluster))
	awaitsGone(h, cluster)
	h.WantsBindings(group.Spec.GroupID)
	h.WantsBindings(topic.Status.TopicName)

	// What happened was told, with the rights that the operator has.
	var events corev1.EventList
	h.Must(h.Live.List(t.Context(), &events, client.InNamespace(h.Namespace)))
	for _, reason := range []string{"TopicCreated", "TopicDeleted", "DeadLetterTopicsChanged"} {
		if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Reason == reason }) {
			t.Errorf("there is no event %s", reason)
		}
	}
	if topic, err := h.Admin().ObserveTopic(t.Context(), topic.Status.TopicName); err != nil || topic.Exists {
		t.Errorf("the topic is %+v, %v", topic, err)
	}

	// It has no right that it does not use. Rights on finalizers are for
	// clusters that ask for them of whoever writes owner references; events are
	// patched when they repeat themselves.
	want := []string{
		"patch events.k8s.io/events",
		"patch weir.dev/consumergroups", "patch weir.dev/outboxrelays", // to take off the finalizers of earlier versions
		"update weir.dev/consumergroups/finalizers", "update weir.dev/outboxrelays/finalizers",
	}
	if diff := cmp.Diff(want, slices.DeleteFunc(rights.unused(), func(right string) bool {
		return right == want[0] && rights.used[right]
	})); diff != "" {
		t.Errorf("rights that are not used (-want +got):\n%s", diff)
	}
}

// wantsSeries waits until so many series of a metric speak of this test's namespace.
func wantsSeries(h *harness.Harness, name string, want int) {
	h.Helper()
	h.Await(func() string {
		families, err := metrics.Registry.Gather()
		h.Must(err)
		got := 0
		for _, family := range families {
			for _, series := range family.GetMetric() {
				for _, label := range series.GetLabel() {
					if family.GetName() == name && label.GetName() == "namespace" && label.GetValue() == h.Namespace {
						got++
					}
				}
			}
		}
		if (want == 0) != (got == 0) {
			return fmt.Sprintf("%d series of %s, want %d", got, name, want)
		}
		return ""
	})
}
