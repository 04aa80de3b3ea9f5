package harness

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
)

// Cluster makes a KafkaCluster on the shared Kafka, named by this test's
// namespace, and reconciles it to Ready.
func (h *Harness) Cluster(change ...func(*v1alpha1.KafkaCluster)) *v1alpha1.KafkaCluster {
	h.Helper()
	h.Secret(h.Operator, "weir-kafka", "username", h.Kafka.Admin.Name+"\n", "password", h.Kafka.Admin.Password+"\n")
	cluster := h.ClusterSpec()
	for _, fn := range change {
		fn(cluster)
	}
	h.Create(cluster)
	h.clusters = append(h.clusters, cluster)
	_, _ = h.Pass(cluster) // its conditions say more
	return cluster
}

// mechanisms are the API's names of the SASL mechanisms, by Kafka's.
var mechanisms = map[string]v1alpha1.SASLMechanism{
	env.Plain: v1alpha1.SASLPlain, env.ScramSHA256: v1alpha1.SASLScramSHA256, env.ScramSHA512: v1alpha1.SASLScramSHA512,
}

// Mechanism is the API's name of how the super user of a Kafka authenticates.
func Mechanism(on *env.Kafka) v1alpha1.SASLMechanism { return mechanisms[on.Admin.Mechanism] }

// ClusterSpec is a KafkaCluster on the harness's Kafka, named by this test's namespace.
func (h *Harness) ClusterSpec() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: h.Namespace},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: h.Kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: mechanisms[h.Kafka.Admin.Mechanism], SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
		},
	}
}

// KeyOf is the namespace and name of obj.
func KeyOf(obj client.Object) client.ObjectKey { return client.ObjectKeyFromObject(obj) }

// RequestOf asks for a pass over obj.
func RequestOf(obj client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: KeyOf(obj)}
}

// ClusterRef refers to the KafkaCluster that Cluster makes.
func (h *Harness) ClusterRef() *v1alpha1.ClusterReference {
	return &v1alpha1.ClusterReference{Name: h.Namespace}
}

// Secret makes or replaces a Secret from keys and values.
func (h *Harness) Secret(namespace, name string, pairs ...string) {
	h.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		secret.StringData[pairs[i]] = pairs[i+1]
	}
	h.Must(client.IgnoreAlreadyExists(h.Live.Create(h.Context(), secret)))
	h.Must(h.Live.Update(h.Context(), secret))
}

// Topic makes a Topic in the team's namespace; it is not reconciled yet.
func (h *Harness) Topic(name string, change ...func(*v1alpha1.Topic)) *v1alpha1.Topic {
	h.Helper()
	topic := &v1alpha1.Topic{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name},
		Spec:       v1alpha1.TopicSpec{ClusterRef: h.ClusterRef()},
	}
	for _, fn := range change {
		fn(topic)
	}
	h.Create(topic)
	return topic
}

// Group makes a ConsumerGroup in the team's namespace that reads the Topic
// orders; its group ID is unique. It is not reconciled yet.
func (h *Harness) Group(name string, change ...func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
	h.Helper()
	group := &v1alpha1.ConsumerGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name},
		Spec: v1alpha1.ConsumerGroupSpec{
			ClusterRef: h.ClusterRef(), GroupID: h.Namespace + "." + name, Principal: "User:" + name,
			Topics: []v1alpha1.TopicReference{{Name: "orders"}},
		},
	}
	for _, fn := range change {
		fn(group)
	}
	h.Create(group)
	return group
}

// Relay makes an OutboxRelay in the team's namespace that publishes all rows to
// the Topic orders, with the Secrets that it needs. It is not reconciled yet.
func (h *Harness) Relay(name string, change ...func(*v1alpha1.OutboxRelay)) *v1alpha1.OutboxRelay {
	h.Helper()
	h.Secret(h.Namespace, "shop-db-app", "uri", "postgresql://shop:secret@db:5432/shop")
	h.Secret(h.Namespace, "shop-relay-kafka", "username", "shop-relay", "password", "secret")
	relay := &v1alpha1.OutboxRelay{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name},
		Spec: v1alpha1.OutboxRelaySpec{
			ClusterRef: h.ClusterRef(),
			Database:   v1alpha1.Database{ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "shop-db-app", Key: "uri"}},
			Routes:     []v1alpha1.Route{{TopicRef: v1alpha1.TopicReference{Name: "orders"}}},
			Kafka: v1alpha1.KafkaCredentials{
				Principal: "User:shop-relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "shop-relay-kafka"},
			},
		},
	}
	for _, fn := range change {
		fn(relay)
	}
	h.Create(relay)
	return relay
}

// Policy makes a DeadLetterPolicy in the team's namespace and reconciles it.
func (h *Harness) Policy(name string, change ...func(*v1alpha1.DeadLetterPolicy)) *v1alpha1.DeadLetterPolicy {
	h.Helper()
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name}}
	for _, fn := range change {
		fn(policy)
	}
	h.Create(policy)
	_, _ = h.Pass(policy)
	return policy
}

// ReadyTopic makes a Topic and reconciles it to Ready.
func (h *Harness) ReadyTopic(name string, change ...func(*v1alpha1.Topic)) *v1alpha1.Topic {
	h.Helper()
	topic := h.Topic(name, change...)
	h.PassUntilReady(topic)
	return topic
}

// ReadyGroup makes a ConsumerGroup and reconciles it to Ready.
func (h *Harness) ReadyGroup(name string, change ...func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
	h.Helper()
	group := h.Group(name, change...)
	h.PassUntilReady(group)
	return group
}

// WithPolicy refers to the DeadLetterPolicy standard.
func WithPolicy(group *v1alpha1.ConsumerGroup) {
	group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "standard"}
}

// OnePartition gives a Topic one partition.
func OnePartition(topic *v1alpha1.Topic) { topic.Spec.Partitions = new(int32(1)) }

// WithAccess lets User:checkout produce.
func WithAccess(topic *v1alpha1.Topic) {
	topic.Spec.Access = []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
}

// DeleteData makes the deletion of a Topic delete its records.
func DeleteData(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData }

// RetryPrincipal is the retry worker's in this test: those of all tests are
// members of one group, where they share a Kafka.
func (h *Harness) RetryPrincipal() string { return "User:retry-" + h.Namespace }

// WithRetryWorker gives the retry worker of a cluster an identity of its own.
func (h *Harness) WithRetryWorker(cluster *v1alpha1.KafkaCluster) {
	h.Secret(h.Operator, "retry", "username", "retry", "password", "secret")
	cluster.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
		Principal: h.RetryPrincipal(), CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
	}}
}
