package controller

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
)

// cluster makes a KafkaCluster on the shared Kafka, named by this test's
// namespace, and reconciles it to Ready.
func (h *harness) cluster(change ...func(*v1alpha1.KafkaCluster)) *v1alpha1.KafkaCluster {
	h.Helper()
	h.secret(h.operator, "weir-kafka", "username", h.kafka.Admin.Name+"\n", "password", h.kafka.Admin.Password+"\n")
	cluster := h.clusterSpec()
	for _, fn := range change {
		fn(cluster)
	}
	h.create(cluster)
	h.pass(cluster)
	return cluster
}

// mechanisms are the API's names of the SASL mechanisms, by Kafka's.
var mechanisms = map[string]v1alpha1.SASLMechanism{
	env.Plain: v1alpha1.SASLPlain, env.ScramSHA256: v1alpha1.SASLScramSHA256, env.ScramSHA512: v1alpha1.SASLScramSHA512,
}

// clusterSpec is a KafkaCluster on the harness's Kafka, named by this test's namespace.
func (h *harness) clusterSpec() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: h.namespace},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: h.kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: mechanisms[h.kafka.Admin.Mechanism], SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
		},
	}
}

func keyOf(obj client.Object) client.ObjectKey { return client.ObjectKeyFromObject(obj) }

func (h *harness) clusterRef() *v1alpha1.ClusterReference {
	return &v1alpha1.ClusterReference{Name: h.namespace}
}

// secret makes or replaces a Secret from keys and values.
func (h *harness) secret(namespace, name string, pairs ...string) {
	h.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		secret.StringData[pairs[i]] = pairs[i+1]
	}
	h.must(client.IgnoreAlreadyExists(h.live.Create(h.Context(), secret)))
	h.must(h.live.Update(h.Context(), secret))
}

// topic makes a Topic in the team's namespace; it is not reconciled yet.
func (h *harness) topic(name string, change ...func(*v1alpha1.Topic)) *v1alpha1.Topic {
	h.Helper()
	topic := &v1alpha1.Topic{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec:       v1alpha1.TopicSpec{ClusterRef: h.clusterRef()},
	}
	for _, fn := range change {
		fn(topic)
	}
	h.create(topic)
	return topic
}

// group makes a ConsumerGroup in the team's namespace that reads the Topic
// orders; its group ID is unique. It is not reconciled yet.
func (h *harness) group(name string, change ...func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
	h.Helper()
	group := &v1alpha1.ConsumerGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec: v1alpha1.ConsumerGroupSpec{
			ClusterRef: h.clusterRef(), GroupID: h.namespace + "." + name, Principal: "User:" + name,
			Topics: []v1alpha1.TopicReference{{Name: "orders"}},
		},
	}
	for _, fn := range change {
		fn(group)
	}
	h.create(group)
	return group
}

// relay makes an OutboxRelay in the team's namespace that publishes all rows to
// the Topic orders, with the Secrets that it needs. It is not reconciled yet.
func (h *harness) relay(name string, change ...func(*v1alpha1.OutboxRelay)) *v1alpha1.OutboxRelay {
	h.Helper()
	h.secret(h.namespace, "shop-db-app", "uri", "postgresql://shop:secret@db:5432/shop")
	h.secret(h.namespace, "shop-relay-kafka", "username", "shop-relay", "password", "secret")
	relay := &v1alpha1.OutboxRelay{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec: v1alpha1.OutboxRelaySpec{
			ClusterRef: h.clusterRef(),
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
	h.create(relay)
	return relay
}

// policy makes a DeadLetterPolicy in the team's namespace and reconciles it.
func (h *harness) policy(name string, change ...func(*v1alpha1.DeadLetterPolicy)) *v1alpha1.DeadLetterPolicy {
	h.Helper()
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name}}
	for _, fn := range change {
		fn(policy)
	}
	h.create(policy)
	h.pass(policy)
	return policy
}

// ready makes a Topic and reconciles it to Ready.
func (h *harness) readyTopic(name string, change ...func(*v1alpha1.Topic)) *v1alpha1.Topic {
	h.Helper()
	topic := h.topic(name, change...)
	h.passUntilReady(topic)
	return topic
}

// readyGroup makes a ConsumerGroup and reconciles it to Ready.
func (h *harness) readyGroup(name string, change ...func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
	h.Helper()
	group := h.group(name, change...)
	h.passUntilReady(group)
	return group
}

// withPolicy refers to the DeadLetterPolicy standard.
func withPolicy(group *v1alpha1.ConsumerGroup) {
	group.Spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "standard"}
}

func one(topic *v1alpha1.Topic) { topic.Spec.Partitions = new(int32(1)) }

// withAccess lets User:checkout produce.
func withAccess(topic *v1alpha1.Topic) {
	topic.Spec.Access = []v1alpha1.Access{{Principal: "User:checkout", Allow: []v1alpha1.Right{v1alpha1.Produce}}}
}

func deleteData(topic *v1alpha1.Topic) { topic.Spec.DeletionPolicy = v1alpha1.DeleteData }

// withRetryWorker gives the retry worker of a cluster an identity of its own.
func (h *harness) withRetryWorker(cluster *v1alpha1.KafkaCluster) {
	h.secret(h.operator, "retry", "username", "retry", "password", "secret")
	cluster.Spec.RetryWorker = &v1alpha1.RetryWorkerSpec{Kafka: v1alpha1.KafkaCredentials{
		Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry"},
	}}
}
