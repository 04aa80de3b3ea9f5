package controller

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
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// deployed reads the Deployment of the relay orders, nil if there is none.
func deployed(h *harness) *appsv1.Deployment {
	h.Helper()
	var deployment appsv1.Deployment
	err := h.live.Get(h.Context(), client.ObjectKey{Namespace: h.namespace, Name: "weir-outbox-orders"}, &deployment)
	h.must(client.IgnoreNotFound(err))
	if err != nil {
		return nil
	}
	return &deployment
}

func TestRelay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders")
	relay := h.relay("orders", func(relay *v1alpha1.OutboxRelay) { relay.Spec.Outbox.Columns.CreatedAt = "created_at" })
	h.settled(relay)
	h.wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	h.wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionUnknown, v1alpha1.ReasonBacklogUnknown, "")
	h.wantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
	if diff := cmp.Diff(&v1alpha1.WorkloadStatus{Name: "weir-outbox-orders", Replicas: 1}, relay.Status.Workload); diff != "" {
		t.Errorf("status.workload (-want +got):\n%s", diff)
	}
	files := h.files(h.namespace, "weir-outbox-orders")
	var told config.Outbox
	h.must(json.Unmarshal([]byte(files.Data[config.OutboxFile]), &told))
	if told.Name != h.namespace+"/orders" || told.Kafka.ClusterID != cluster.Status.ClusterID || told.Routes[0].Topic != topic.Status.TopicName {
		t.Errorf("the worker is told %+v", told)
	}

	pod := h.pod(h.namespace, "weir-outbox-orders")
	h.pass(relay)
	h.wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "the worker is starting")
	at := time.Now().UTC().Truncate(time.Second)
	pod.says(config.OutboxState{Phase: config.Active, PendingRows: 3, OldestPendingSeconds: 2.4, LastPublished: at})
	result, err := h.pass(relay)
	if err != nil || result.RequeueAfter != h.set.relay.Poll {
		t.Errorf("the pass returned %v, %v; want to come back at the poll interval", result, err)
	}
	h.wantsReady(relay)
	h.wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionFalse, v1alpha1.ReasonKeepingUp, "")
	if *relay.Status.PendingRows != 3 || *relay.Status.OldestPendingSeconds != 2 || !relay.Status.LastPublishedTime.Time.Equal(at) || relay.Status.CaptureMode != v1alpha1.CapturePolling {
		t.Errorf("status says %+v", relay.Status)
	}
	pod.says(config.OutboxState{
		Phase: config.Failing, PendingRows: 3, OldestPendingSeconds: 2,
		Problem: &config.Problem{Reason: "PrivilegeMissing", Message: "GRANT SELECT, DELETE ON public.outbox TO shop"},
	})
	result, err = h.pass(relay)
	if err != nil || result.RequeueAfter != h.set.relay.Poll {
		t.Errorf("the pass returned %v, %v; want to come back at the poll interval", result, err)
	}
	h.wantsStalled(relay, "PrivilegeMissing", "GRANT SELECT, DELETE ON public.outbox TO shop")
	h.wants(relay, v1alpha1.ConditionBacklogged, metav1.ConditionTrue, v1alpha1.ReasonRowsWaiting, "rows wait in public.outbox: GRANT SELECT")

	// Another spec rolls the worker; the old pod goes on until the new one can.
	pod.says(config.OutboxState{Phase: config.Active})
	was := deployed(h)
	h.update(relay, func() { relay.Spec.Capture.Polling.BatchSize = 10 })
	h.settled(relay)
	h.wants(relay, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "the old one goes on publishing")
	// So it needs its files, until the new pod is ready.
	if had := worker.MountedFiles(was.Spec.Template.Spec); had == h.files(h.namespace, "weir-outbox-orders").Name || !h.exists(&corev1.ConfigMap{}, had) {
		t.Error("the old pod's files are gone, or changed")
	}
	now := deployed(h)
	if now.Spec.Template.Annotations[worker.ConfigAnnotation] == was.Spec.Template.Annotations[worker.ConfigAnnotation] {
		t.Error("a change of the spec did not roll the worker")
	}
	second := h.pod(h.namespace, "weir-outbox-orders")
	second.says(config.OutboxState{Phase: config.Standby, PendingRows: -1, OldestPendingSeconds: -1})
	h.pass(relay)
	h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "the old one goes on publishing")
	second.status(corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	})
	h.pass(relay)
	if had := worker.MountedFiles(was.Spec.Template.Spec); !h.exists(&corev1.ConfigMap{}, had) {
		t.Error("the files of a pod that runs are gone")
	}
	pod.remove()
	second.says(config.OutboxState{Phase: config.Active})
	h.pass(relay)
	h.wantsReady(relay)
	if had := worker.MountedFiles(was.Spec.Template.Spec); h.exists(&corev1.ConfigMap{}, had) {
		t.Error("the files of the pod that is gone are still there")
	}

	h.delete(relay)
	h.wantsGone(relay)
	h.wantsBindings(topic.Status.TopicName)
}

// A reference that breaks is a condition, and leaves the last good worker and
// its grants as they are.
func TestRelayReferences(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders")
	relay := h.relay("orders")
	h.settled(relay)
	pod := h.pod(h.namespace, "weir-outbox-orders")
	pod.says(config.OutboxState{Phase: config.Active})
	h.pass(relay)
	h.wantsReady(relay)
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
			"spec.database.connectionSecretRef: Secret " + h.namespace + "/absent does not exist; create it: kubectl -n " + h.namespace + " create secret generic absent --from-literal=uri=…",
		},
		{
			"no such key", func(s *v1alpha1.OutboxRelaySpec) { s.Database.ConnectionSecretRef.Key = "url" },
			true, v1alpha1.ReasonSecretInvalid, "spec.database.connectionSecretRef: Secret " + h.namespace + `/shop-db-app has no value under the key "url"`,
		},
		{
			"no credentials", func(s *v1alpha1.OutboxRelaySpec) { s.Kafka.CredentialsSecretRef.Name = "absent" },
			false, v1alpha1.ReasonSecretNotFound,
			"spec.kafka.credentialsSecretRef: Secret " + h.namespace + "/absent does not exist; create it: kubectl -n " + h.namespace + " create secret generic absent --from-literal=username=… --from-literal=password=…",
		},
		{
			"half the credentials", func(s *v1alpha1.OutboxRelaySpec) { s.Kafka.CredentialsSecretRef.Name = "shop-db-app" },
			true, v1alpha1.ReasonSecretInvalid, "spec.kafka.credentialsSecretRef: Secret " + h.namespace + `/shop-db-app has no value under the key "username"`,
		},
		{
			"no Topic", func(s *v1alpha1.OutboxRelaySpec) { s.Routes[0].TopicRef.Name = "absent" },
			false, v1alpha1.ReasonTopicNotFound, "spec.routes[0].topicRef: Topic " + h.namespace + "/absent does not exist; create it, or correct the reference",
		},
		{
			"a toleration that Kubernetes refuses", func(s *v1alpha1.OutboxRelaySpec) {
				s.PodTemplate.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Never"}}
			},
			true, child.ReasonRejected, "Kubernetes refuses what this resource asks for: ",
		},
	} {
		h.update(relay, func() { spec.DeepCopyInto(&relay.Spec); test.change(&relay.Spec) })
		h.pass(relay)
		t.Log(test.name)
		if test.stalled {
			h.wantsStalled(relay, test.reason, test.message)
		} else {
			h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason, test.message)
		}
		if diff := cmp.Diff(good.Spec, deployed(h).Spec); diff != "" {
			t.Errorf("%s: the last good worker was changed:\n%s", test.name, diff)
		}
		h.wantsBindings(topic.Status.TopicName, granted...)
	}
	h.update(relay, func() { spec.DeepCopyInto(&relay.Spec) })
	h.settled(relay)
	h.wantsReady(relay)

	// The operator loses Kafka, the worker does not.
	h.update(cluster, func() { cluster.Spec.ClusterID = "another" })
	h.pass(cluster)
	h.pass(relay)
	h.wantsReady(relay)
	h.update(relay, func() { relay.Spec.Capture.Polling.BatchSize = 10 })
	h.pass(relay)
	h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady, `KafkaCluster "`+cluster.Name+`" is not ready: the brokers at `)
}

func TestRelayConsent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	h.must(h.live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace + "-shop"}}))
	topic := h.readyTopic("orders")
	for _, name := range []string{"shop-db-app", "shop-relay-kafka"} {
		h.secret(h.namespace+"-shop", name, "uri", "postgresql://db", "username", "shop", "password", "secret")
	}
	relay := h.relay("orders", func(relay *v1alpha1.OutboxRelay) {
		relay.Namespace = h.namespace + "-shop"
		relay.Spec.Routes[0].TopicRef.Namespace = h.namespace
	})
	refused := "spec.routes[0].topicRef: Topic " + h.namespace + "/orders does not admit namespace \"" + relay.Namespace +
		"\"; its owner has to allow it in spec.allowedProducers.namespaces"
	h.pass(relay)
	h.wantsStalled(relay, v1alpha1.ReasonNotAllowed, refused)
	h.update(topic, func() { topic.Spec.AllowedProducers.Namespaces.From = v1alpha1.FromAll })
	h.settled(relay)
	h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
	h.wantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
	h.update(topic, func() { topic.Spec.AllowedProducers.Namespaces.From = v1alpha1.FromSame })
	h.pass(relay)
	h.wantsStalled(relay, v1alpha1.ReasonNotAllowed, refused)
	h.wantsBindings(topic.Status.TopicName)
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
			h := newHarness(t)
			h.cluster()
			h.readyTopic("orders")
			relay := h.relay("orders")
			name := "weir-outbox-orders"
			stranger.SetNamespace(h.namespace)
			if kind == "ConfigMap" {
				h.settled(relay)
				name = h.files(h.namespace, name).Name
				stranger.SetName(name)
				h.must(h.live.Delete(t.Context(), stranger.DeepCopyObject().(client.Object)))
			}
			stranger.SetName(name)
			h.must(h.live.Create(t.Context(), stranger))
			version := stranger.GetResourceVersion()
			h.await(func() string { // the cache knows that Weir's is gone
				h.pass(relay)
				if reason := h.condition(relay, v1alpha1.ConditionReady).Reason; reason != v1alpha1.ReasonNameConflict {
					return "the reason is " + reason
				}
				return ""
			})
			h.wantsStalled(relay, v1alpha1.ReasonNameConflict,
				kind+" "+h.namespace+"/"+name+" exists and is not Weir's; delete or rename it: Weir needs that name")
			h.must(h.live.Get(t.Context(), keyOf(stranger), stranger))
			if stranger.GetResourceVersion() != version {
				t.Error("the stranger was changed")
			}
			h.must(h.live.Delete(t.Context(), stranger))
			h.settled(relay)
			h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "waiting for the worker's pod")
		})
	}
}

func TestSuspendedRelayIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	topic := h.readyTopic("orders")
	relay := h.relay("orders")
	h.settled(relay)
	good := deployed(h)
	h.update(relay, func() { relay.Spec.Suspend, relay.Spec.Capture.Polling.BatchSize = true, 7 })
	h.pass(relay)
	h.wants(relay, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "")
	if diff := cmp.Diff(good, deployed(h)); diff != "" {
		t.Errorf("the worker was changed:\n%s", diff)
	}
	h.delete(relay)
	h.wantsGone(relay)
	h.wantsBindings(topic.Status.TopicName, kafka.Publish("User:shop-relay", topic.Status.TopicName)...)
}

// What somebody changes of a worker is put right; what others add is theirs.
func TestRelayWorkerIsPutRight(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	h.readyTopic("orders")
	relay := h.relay("orders")
	h.settled(relay)
	good := deployed(h)
	changed := good.DeepCopy()
	changed.Spec.Replicas = new(int32(3))
	changed.Spec.Template.Spec.Containers[0].Image = "other"
	changed.Annotations["example.com/theirs"] = "yes"
	h.must(h.live.Update(t.Context(), changed))
	h.sync(changed)
	h.settled(relay)
	now := deployed(h)
	if diff := cmp.Diff(good.Spec, now.Spec); diff != "" {
		t.Errorf("the worker stays changed:\n%s", diff)
	}
	if now.Annotations["example.com/theirs"] != "yes" {
		t.Error("what another controller added is gone")
	}
}
