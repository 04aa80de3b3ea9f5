package argocd

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
	"github.com/weir-dev/weir/test/env/operator"
)

func TestMain(m *testing.M) { env.Main(m) }

// situation is an object, and what is to be said of it.
type situation struct {
	name            string
	object          *unstructured.Unstructured
	health, message string
	kstatus         status.Status
}

// stage is an API server, with a manager that looks at what is in it.
type stage struct {
	*testing.T
	live      client.Client
	namespace string
	cluster   v1alpha1.ClusterReference
}

// situations brings about what can be, and returns it as the API server shows it.
func situations(t *testing.T) []situation {
	t.Helper()
	s := newStage(t)
	kafka := env.SharedFake(t)
	s.create(
		&corev1.Secret{ObjectMeta: s.named("weir-kafka"), StringData: map[string]string{"username": kafka.Admin.Name, "password": kafka.Admin.Password}},
		&v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: s.cluster.Name}, Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLPlain, SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
		}},
		&v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: s.cluster.Name + "-away"}, Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: []string{"127.0.0.1:1"},
		}},
		s.topic("orders", func(*v1alpha1.TopicSpec) {}),
	)
	s.seen("Topic", "orders", v1alpha1.ReasonReady)
	s.create(
		s.topic("rival", func(spec *v1alpha1.TopicSpec) { spec.TopicName = s.namespace + ".orders" }),
		s.topic("frozen", func(spec *v1alpha1.TopicSpec) { spec.Suspend = true }),
		s.topic("used", func(spec *v1alpha1.TopicSpec) { spec.DeletionPolicy = v1alpha1.DeleteData }),
		s.group("billing", "used"),
		s.group("early", "absent"),
		&v1alpha1.DeadLetterPolicy{ObjectMeta: s.named("standard")},
		&v1alpha1.OutboxRelay{ObjectMeta: s.named("orders"), Spec: v1alpha1.OutboxRelaySpec{
			ClusterRef: &s.cluster,
			Database:   v1alpha1.Database{ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "absent", Key: "uri"}},
			Routes:     []v1alpha1.Route{{TopicRef: v1alpha1.TopicReference{Name: "orders"}}},
			Kafka:      v1alpha1.KafkaCredentials{Principal: "User:relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "absent"}},
		}},
	)
	s.seen("ConsumerGroup", "billing", v1alpha1.ReasonReady)
	if err := s.live.Delete(s.Context(), s.topic("used", func(*v1alpha1.TopicSpec) {})); err != nil {
		s.Fatal(err)
	}
	fresh := s.topic("fresh", func(*v1alpha1.TopicSpec) {})
	if err := s.live.Create(s.Context(), fresh, client.DryRunAll); err != nil {
		s.Fatal(err)
	}
	well := s.seen("Topic", "orders", v1alpha1.ReasonReady)

	return []situation{
		{"well: KafkaCluster", s.seen("KafkaCluster", s.cluster.Name, v1alpha1.ReasonConnected), "Healthy", "", status.CurrentStatus},
		{"well: Topic", well, "Healthy", "", status.CurrentStatus},
		{"well: ConsumerGroup", s.seen("ConsumerGroup", "billing", v1alpha1.ReasonReady), "Healthy", "", status.CurrentStatus},
		{"well: DeadLetterPolicy", s.seen("DeadLetterPolicy", "standard", v1alpha1.ReasonReady), "Healthy", "", status.CurrentStatus},
		{"refused", s.seen("Topic", "rival", v1alpha1.ReasonConflict), "Degraded", "Topic " + s.namespace + "/orders", status.FailedStatus},
		{"waiting for a Topic", s.seen("ConsumerGroup", "early", v1alpha1.ReasonTopicNotFound), "Progressing", s.namespace + "/absent", status.InProgressStatus},
		{"waiting for a Secret", s.seen("OutboxRelay", "orders", v1alpha1.ReasonSecretNotFound), "Progressing", s.namespace + "/absent", status.InProgressStatus},
		{"an outage", s.seen("KafkaCluster", s.cluster.Name+"-away", v1alpha1.ReasonUnreachable), "Progressing", "127.0.0.1:1", status.InProgressStatus},
		{"suspended", s.seen("Topic", "frozen", v1alpha1.ReasonSuspended), "Suspended", "spec.suspend is true", status.InProgressStatus},
		{"deleted, and held", s.seen("Topic", "used", v1alpha1.ReasonInUse), "Progressing", "Pending deletion", status.TerminatingStatus},
		{"drifting", contested(well), "Degraded", "somebody else changes retention.ms", status.FailedStatus},
		{"not looked at", untyped(t, fresh), "Progressing", "not looked at it yet", status.InProgressStatus},
		{"changed since", changed(well), "Progressing", "not looked at this generation yet", status.InProgressStatus},
		{"from before Weir", without(well, "status"), "Progressing", "not looked at it yet", status.CurrentStatus},
	}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	server := kube.Shared(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	live, err := client.New(server.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := server.Namespace(t)
	operator.Start(t, server, namespace)
	return &stage{T: t, live: live, namespace: namespace, cluster: v1alpha1.ClusterReference{Name: env.Unique("main")}}
}

func (s *stage) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.namespace, Name: name}
}

func (s *stage) topic(name string, set func(*v1alpha1.TopicSpec)) *v1alpha1.Topic {
	topic := &v1alpha1.Topic{ObjectMeta: s.named(name), Spec: v1alpha1.TopicSpec{ClusterRef: &s.cluster, Partitions: new(int32(1))}}
	set(&topic.Spec)
	return topic
}

func (s *stage) group(name, topic string) *v1alpha1.ConsumerGroup {
	return &v1alpha1.ConsumerGroup{ObjectMeta: s.named(name), Spec: v1alpha1.ConsumerGroupSpec{
		ClusterRef: &s.cluster, Principal: "User:" + name, Topics: []v1alpha1.TopicReference{{Name: topic}},
		GroupID: s.namespace + "." + name,
	}}
}

func (s *stage) create(objects ...client.Object) {
	s.Helper()
	for _, object := range objects {
		if err := s.live.Create(s.Context(), object); err != nil {
			s.Fatal(err)
		}
	}
}

// seen waits until Ready has a reason, and returns the object as it is then.
func (s *stage) seen(kind, name, reason string) *unstructured.Unstructured {
	s.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	key := client.ObjectKey{Namespace: s.namespace, Name: name}
	if kind == "KafkaCluster" {
		key.Namespace = ""
	}
	env.Await(s, func() string {
		if err := s.live.Get(s.Context(), key, object); err != nil {
			return err.Error()
		}
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		for _, condition := range conditions {
			if condition := condition.(map[string]any); condition["type"] == v1alpha1.ConditionReady && condition["reason"] == reason {
				return ""
			}
		}
		return fmt.Sprintf("%s %s is not %s: %v", kind, name, reason, conditions)
	})
	return object
}

// contested is a Topic whose config somebody else changes again and again.
func contested(topic *unstructured.Unstructured) *unstructured.Unstructured {
	topic = topic.DeepCopy()
	condition := func(kind, value string) any {
		return map[string]any{"type": kind, "status": value, "reason": v1alpha1.ReasonContested, "message": "somebody else changes retention.ms"}
	}
	topic.Object["status"].(map[string]any)["conditions"] = []any{
		condition(v1alpha1.ConditionDrifted, "True"), condition(v1alpha1.ConditionReady, "False"), condition(v1alpha1.ConditionStalled, "True"),
	}
	return topic
}

// changed is an object that somebody has changed since the manager looked.
func changed(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	object.SetGeneration(object.GetGeneration() + 1)
	return object
}

func without(object *unstructured.Unstructured, field string) *unstructured.Unstructured {
	object = object.DeepCopy()
	delete(object.Object, field)
	return object
}

func untyped(t *testing.T, topic *v1alpha1.Topic) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(topic)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Topic"))
	return object
}
