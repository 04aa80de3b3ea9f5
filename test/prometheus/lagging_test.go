package prometheus

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func newClient(t *testing.T, cluster *kube.Cluster) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), monitoringv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	live, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// lagging makes a ConsumerGroup with more unread records than it may have, and
// returns its name.
func lagging(t *testing.T, cluster *kube.Cluster, namespace string) string {
	t.Helper()
	live, kafka := newClient(t, cluster), env.SharedFake(t)
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	main := v1alpha1.ClusterReference{Name: env.Unique("main")}
	topic := &v1alpha1.Topic{ObjectMeta: named("orders"), Spec: v1alpha1.TopicSpec{ClusterRef: &main, Partitions: new(int32(1))}}
	group := &v1alpha1.ConsumerGroup{ObjectMeta: named("billing"), Spec: v1alpha1.ConsumerGroupSpec{
		ClusterRef: &main, Principal: "User:billing", Topics: []v1alpha1.TopicReference{{Name: "orders"}},
		Lag: v1alpha1.LagObjective{MaxRecords: new(int64(1))},
	}}
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: named("weir-kafka"), StringData: map[string]string{"username": kafka.Admin.Name, "password": kafka.Admin.Password}},
		&v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: main.Name}, Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLPlain, SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
		}},
		topic, group,
	} {
		if err := live.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	env.Await(t, func() string {
		if err := live.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
			return err.Error()
		}
		if !meta.IsStatusConditionTrue(topic.Status.Conditions, v1alpha1.ConditionReady) {
			return "the topic is not Ready"
		}
		return ""
	})
	producer := kafka.Client(t, kafka.Admin)
	for range 3 {
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic.Status.TopicName, Value: []byte("{}")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return group.Name
}

// renderedRule waits for the PrometheusRule of a group, and writes it as the
// rule file that the Prometheus operator makes of it.
func renderedRule(t *testing.T, cluster *kube.Cluster, namespace, group string) string {
	t.Helper()
	live := newClient(t, cluster)
	var rule monitoringv1.PrometheusRule
	env.Await(t, func() string {
		if err := live.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "weir-" + group}, &rule); err != nil {
			return err.Error()
		}
		return ""
	})
	text, err := yaml.Marshal(rule.Spec)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
