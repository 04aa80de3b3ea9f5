package outboxrelay_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// deployed reads the Deployment of the relay orders, nil if there is none.
func deployed(h *harness.Harness) *appsv1.Deployment {
	h.Helper()
	var deployment appsv1.Deployment
	err := h.Live.Get(h.Context(), client.ObjectKey{Namespace: h.Namespace, Name: "weir-outbox-orders"}, &deployment)
	h.Must(client.IgnoreNotFound(err))
	if err != nil {
		return nil
	}
	return &deployment
}

func TestRelay(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders")
	relay := h.Relay("orders", func(relay *v1alpha1.OutboxRelay) { relay.Spec.Outbox.Columns.CreatedAt = "created_at" })
	h.Settled(relay)
	h.Wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	h.Wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionUnknown, v1alpha1.ReasonBacklogUnknown, "")
	h.WantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
	if diff := cmp.Diff(&v1alpha1.WorkloadStatus{Name: "weir-outbox-orders", Replicas: 1}, relay.Status.Workload); diff != "" {
		t.Errorf("status.workload (-want +got):\n%s", diff)
	}
	files := h.Files(h.Namespace, "weir-outbox-orders")
	var told config.Outbox
	h.Must(json.Unmarshal([]byte(files.Data[config.OutboxFile]), &told))
	if told.Name != h.Namespace+"/orders" || told.Kafka.ClusterID != cluster.Status.ClusterID || told.Routes[0].Topic != topic.Status.TopicName {
		t.Errorf("the worker is told %+v", told)
	}

	pod := h.Pod(h.Namespace, "weir-outbox-orders")
	h.Pass(relay)
	h.Wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "the worker is starting")
	at := time.Now().UTC().Truncate(time.Second)
	pod.Says(config.OutboxState{Phase: config.Active, PendingRows: 3, OldestPendingSeconds: 2.4, LastPublished: at})
	result, err := h.Pass(relay)
	if err != nil || result.RequeueAfter != time.Second {
		t.Errorf("the pass returned %v, %v; want to come back at the poll interval", result, err)
	}
	h.WantsReady(relay)
	h.Wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionFalse, v1alpha1.ReasonKeepingUp, "")
	if *relay.Status.PendingRows != 3 || *relay.Status.OldestPendingSeconds != 2 || !relay.Status.LastPublishedTime.Time.Equal(at) || relay.Status.CaptureMode != v1alpha1.CapturePolling {
		t.Errorf("status says %+v", relay.Status)
	}
	pod.Says(config.OutboxState{
		Phase: config.Failing, PendingRows: 3, OldestPendingSeconds: 2,
		Problem: &config.Problem{Reason: "PrivilegeMissing", Message: "GRANT SELECT, DELETE ON public.outbox TO shop"},
	})
	result, err = h.Pass(relay)
	if err != nil || result.RequeueAfter != time.Second {
		t.Errorf("the pass returned %v, %v; want to come back at the poll interval", result, err)
	}
	h.WantsStalled(relay, "PrivilegeMissing", "GRANT SELECT, DELETE ON public.outbox TO shop")
	h.Wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionTrue, v1alpha1.ReasonRowsWaiting, "rows wait in public.outbox: GRANT SELECT")

	// Another spec rolls the worker; the old pod goes on until the new one can.
	pod.Says(config.OutboxState{Phase: config.Active})
	was := deployed(h)
	h.Update(relay, func() { relay.Spec.Capture.Polling.BatchSize = 10 })
	h.Settled(relay)
	h.Wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "the old one goes on publishing")
	// So it needs its files, until the new pod is ready.
	if had := worker.MountedFiles(was.Spec.Template.Spec)[0]; had == h.Files(h.Namespace, "weir-outbox-orders").Name || !h.Exists(&corev1.ConfigMap{}, had) {
		t.Error("the old pod's files are gone, or changed")
	}
	now := deployed(h)
	if now.Spec.Template.Annotations[worker.ConfigAnnotation] == was.Spec.Template.Annotations[worker.ConfigAnnotation] {
		t.Error("a change of the spec did not roll the worker")
	}
	second := h.Pod(h.Namespace, "weir-outbox-orders")
	second.Says(config.OutboxState{Phase: config.Standby, PendingRows: -1, OldestPendingSeconds: -1})
	h.Pass(relay)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "the old one goes on publishing")
	second.SetStatus(corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	})
	h.Pass(relay)
	if had := worker.MountedFiles(was.Spec.Template.Spec)[0]; !h.Exists(&corev1.ConfigMap{}, had) {
		t.Error("the files of a pod that runs are gone")
	}
	pod.Remove()
	second.Says(config.OutboxState{Phase: config.Active})
	h.Pass(relay)
	h.WantsReady(relay)
	if had := worker.MountedFiles(was.Spec.Template.Spec)[0]; h.Exists(&corev1.ConfigMap{}, had) {
		t.Error("the files of the pod that is gone are still there")
	}

	h.Delete(relay)
	h.WantsGone(relay)
	h.WantsBindings(topic.Status.TopicName)
}

// A reference that breaks is a condition, and leaves the last good worker and
// its grants as they are.
func TestRelayReferences(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	pod := h.Pod(h.Namespace, "weir-outbox-orders")
	pod.Says(config.OutboxState{Phase: config.Active})
	h.Pass(relay)
	h.WantsReady(relay)
	good := deployed(h)
	granted := kafka.Publish("User:shop-relay", topic.Status.TopicName)

	spec := *relay.Spec.DeepCopy()
	for _, test := range []struct {
		name    string
		change  func(*v1alpha1.OutboxRelaySpec)
		stalled bool
		reason  string
		message string
	}{
		{
			"no database Secret", func(s *v1alpha1.OutboxRelaySpec) { s.Database.ConnectionSecretRef.Name = "absent" },
			false, v1alpha1.ReasonSecretNotFound,
			"spec.database.connectionSecretRef: Secret " + h.Namespace + "/absent does not exist; create it: kubectl -n " + h.Namespace + " create secret generic absent --from-literal=uri=…",
		},
		{
			"no such key", func(s *v1alpha1.OutboxRelaySpec) { s.Database.ConnectionSecretRef.Key = "url" },
			true, v1alpha1.ReasonSecretInvalid, "spec.database.connectionSecretRef: Secret " + h.Namespace + `/shop-db-app has no value under the key "url"`,
		},
		{
			"no credentials", func(s *v1alpha1.OutboxRelaySpec) { s.Kafka.CredentialsSecretRef.Name = "absent" },
			false, v1alpha1.ReasonSecretNotFound,
			"spec.kafka.credentialsSecretRef: Secret " + h.Namespace + "/absent does not exist; create it: kubectl -n " + h.Namespace + " create secret generic absent --from-literal=username=… --from-literal=password=…",
		},
		{
			"half the credentials", func(s *v1alpha1.OutboxRelaySpec) { s.Kafka.CredentialsSecretRef.Name = "shop-db-app" },
			true, v1alpha1.ReasonSecretInvalid, "spec.kafka.credentialsSecretRef: Secret " + h.Namespace + `/shop-db-app has no value under the key "username"`,
		},
		{
			"no Topic", func(s *v1alpha1.OutboxRelaySpec) { s.Routes[0].TopicRef.Name = "absent" },
			false, v1alpha1.ReasonTopicNotFound, "spec.routes[0].topicRef: Topic " + h.Namespace + "/absent does not exist; create it, or correct the reference",
		},
		{
			"a toleration that Kubernetes refuses", func(s *v1alpha1.OutboxRelaySpec) {
				s.PodTemplate.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Never"}}
			},
			true, child.ReasonRejected, "Kubernetes refuses what this resource asks for: ",
		},
	} {
		h.Update(relay, func() { spec.DeepCopyInto(&relay.Spec); test.change(&relay.Spec) })
		h.Pass(relay)
		t.Log(test.name)
		if test.stalled {
			h.WantsStalled(relay, test.reason, test.message)
		} else {
			h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason, test.message)
		}
		if diff := cmp.Diff(good.Spec, deployed(h).Spec); diff != "" {
			t.Errorf("%s: the last good worker was changed:\n%s", test.name, diff)
		}
		h.WantsBindings(topic.Status.TopicName, granted...)
	}
	h.Update(relay, func() { spec.DeepCopyInto(&relay.Spec) })
	h.Settled(relay)
	h.WantsReady(relay)

	// The operator loses Kafka, the worker does not.
	h.Update(cluster, func() { cluster.Spec.ClusterID = "another" })
	h.Pass(cluster)
	h.Pass(relay)
	h.WantsReady(relay)
	h.Update(relay, func() { relay.Spec.Capture.Polling.BatchSize = 10 })
	h.Pass(relay)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, `KafkaCluster "`+cluster.Name+`" is not ready: the brokers at `)
}

func TestRelayConsent(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.Must(h.Live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Namespace + "-shop"}}))
	topic := h.ReadyTopic("orders")
	for _, name := range []string{"shop-db-app", "shop-relay-kafka"} {
		h.Secret(h.Namespace+"-shop", name, "uri", "postgresql://db", "username", "shop", "password", "secret")
	}
	relay := h.Relay("orders", func(relay *v1alpha1.OutboxRelay) {
		relay.Namespace = h.Namespace + "-shop"
		relay.Spec.Routes[0].TopicRef.Namespace = h.Namespace
	})
	refused := "spec.routes[0].topicRef: Topic " + h.Namespace + "/orders does not admit namespace \"" + relay.Namespace +
		"\"; its owner has to allow it in spec.allowedProducers.namespaces"
	h.Pass(relay)
	h.WantsStalled(relay, v1alpha1.ReasonNotAllowed, refused)
	h.Update(topic, func() { topic.Spec.AllowedProducers.Namespaces.From = v1alpha1.FromAll })
	h.Settled(relay)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	h.WantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
	h.Update(topic, func() { topic.Spec.AllowedProducers.Namespaces.From = v1alpha1.FromSame })
	h.Pass(relay)
	h.WantsStalled(relay, v1alpha1.ReasonNotAllowed, refused)
	h.WantsBindings(topic.Status.TopicName)
}

func TestRelayLeavesStrangersAlone(t *testing.T) {
	t.Parallel()
	for kind, stranger := range map[string]client.Object{
		"ConfigMap": &corev1.ConfigMap{Data: map[string]string{"theirs": "yes"}},
		"Deployment": &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "theirs"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "theirs"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "theirs", Image: "theirs"}}},
			},
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Cluster()
			h.ReadyTopic("orders")
			relay := h.Relay("orders")
			name := "weir-outbox-orders"
			stranger.SetNamespace(h.Namespace)
			if kind == "ConfigMap" {
				h.Settled(relay)
				name = h.Files(h.Namespace, name).Name
				stranger.SetName(name)
				h.Must(h.Live.Delete(t.Context(), stranger.DeepCopyObject().(client.Object)))
			}
			stranger.SetName(name)
			h.Must(h.Live.Create(t.Context(), stranger))
			version := stranger.GetResourceVersion()
			h.Await(func() string { // the cache knows that Weir's is gone
				h.Pass(relay)
				if reason := h.Condition(relay, v1alpha1.ConditionReady).Reason; reason != v1alpha1.ReasonNameConflict {
					return "the reason is " + reason
				}
				return ""
			})
			h.WantsStalled(relay, v1alpha1.ReasonNameConflict,
				kind+" "+h.Namespace+"/"+name+" exists and is not Weir's; delete or rename it: Weir needs that name")
			h.Must(h.Live.Get(t.Context(), harness.KeyOf(stranger), stranger))
			if stranger.GetResourceVersion() != version {
				t.Error("the stranger was changed")
			}
			h.Must(h.Live.Delete(t.Context(), stranger))
			h.Settled(relay)
			h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
		})
	}
}

func TestSuspendedRelayIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	good := deployed(h)
	h.Update(relay, func() { relay.Spec.Suspend, relay.Spec.Capture.Polling.BatchSize = true, 7 })
	h.Pass(relay)
	h.Wants(relay, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	if diff := cmp.Diff(good, deployed(h)); diff != "" {
		t.Errorf("the worker was changed:\n%s", diff)
	}
	h.Delete(relay)
	h.WantsGone(relay)
	h.WantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
}

// What somebody changes of a worker is put right; what others add is theirs.
func TestRelayWorkerIsPutRight(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	relay := h.Relay("orders")
	h.Settled(relay)
	good := deployed(h)
	changed := good.DeepCopy()
	changed.Spec.Replicas = new(int32(3))
	changed.Spec.Template.Spec.Containers[0].Image = "other"
	changed.Annotations["example.com/theirs"] = "yes"
	h.Must(h.Live.Update(t.Context(), changed))
	h.Sync(changed)
	h.Settled(relay)
	now := deployed(h)
	if diff := cmp.Diff(good.Spec, now.Spec); diff != "" {
		t.Errorf("the worker stays changed:\n%s", diff)
	}
	if now.Annotations["example.com/theirs"] != "yes" {
		t.Error("what another controller added is gone")
	}
}
