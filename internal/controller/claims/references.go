package claims

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
)

// TopicRefIndex indexes OutboxRelays and ConsumerGroups by the Topics that
// they refer to, as "namespace/name".
const TopicRefIndex = "weir.dev/topic-ref"

// topicUse is what a reference to a Topic is for: it decides whose consent is
// needed across namespaces.
type topicUse struct {
	field string
	rule  func(*v1alpha1.Topic) v1alpha1.NamespaceRule
}

// What references are for.
var (
	ToConsume = topicUse{"allowedConsumers", func(t *v1alpha1.Topic) v1alpha1.NamespaceRule { return t.Spec.AllowedConsumers.Namespaces }}
	ToProduce = topicUse{"allowedProducers", func(t *v1alpha1.Topic) v1alpha1.NamespaceRule { return t.Spec.AllowedProducers.Namespaces }}
)

// TopicKey is the Topic that a reference from a namespace means.
func TopicKey(ref v1alpha1.TopicReference, namespace string) client.ObjectKey {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return client.ObjectKey{Namespace: namespace, Name: ref.Name}
}

// Reference is a Topic that a field of a resource refers to.
type Reference struct {
	v1alpha1.TopicReference
	Field string
}

// Resolve reads the Topics that a resource in namespace refers to. All
// must exist in Kafka, on the same cluster, and consent. Errors are halts.
// Refused are the names in Kafka of those whose owners do not consent.
func (r Registry) Resolve(ctx context.Context, references []Reference, namespace, cluster string, use topicUse) (topics []*v1alpha1.Topic, refused []string, err error) {
	var errs []error
	for _, ref := range references {
		topic, err := r.resolveTopic(ctx, ref, namespace, cluster, use)
		if h, ok := halt.As(err); ok && h.Reason == v1alpha1.ReasonNotAllowed {
			refused = append(refused, topic.Status.TopicName)
		}
		topics = append(topics, topic)
		errs = append(errs, err)
	}
	return topics, refused, halt.Together(errs...)
}

func (r Registry) resolveTopic(ctx context.Context, ref Reference, namespace, cluster string, use topicUse) (*v1alpha1.Topic, error) {
	key := TopicKey(ref.TopicReference, namespace)
	var topic v1alpha1.Topic
	err := r.Client.Get(ctx, key, &topic)
	if apierrors.IsNotFound(err) {
		return nil, halt.Wait(v1alpha1.ReasonTopicNotFound, "%s: Topic %s does not exist; create it, or correct the reference", ref.Field, key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Topic %s: %w", key, err)
	}
	if err := r.consents(ctx, &topic, namespace, ref.Field, use); err != nil {
		return &topic, err
	}
	if topic.Status.Partitions == 0 {
		return &topic, halt.Wait(v1alpha1.ReasonTopicNotReady, "%s: Topic %s does not exist in Kafka yet; see its conditions", ref.Field, key)
	}
	if topic.Status.Cluster != cluster {
		return &topic, halt.Stall(v1alpha1.ReasonTopicNotFound, "%s: Topic %s is on KafkaCluster %q, and this resource on %q; set spec.clusterRef to the same",
			ref.Field, key, topic.Status.Cluster, cluster)
	}
	return &topic, nil
}

// consents checks that a Topic admits the namespace of a resource that refers to it.
func (r Registry) consents(ctx context.Context, topic *v1alpha1.Topic, namespace, field string, use topicUse) error {
	if topic.Namespace == namespace {
		return nil
	}
	rule := use.rule(topic)
	switch rule.From {
	case v1alpha1.FromAll:
		return nil
	case v1alpha1.FromSelector:
		ok, err := r.Matches(ctx, namespace, rule.Selector)
		if err != nil || ok {
			return err
		}
	}
	return halt.Stall(v1alpha1.ReasonNotAllowed,
		"%s: Topic %s does not admit namespace %q; its owner has to allow it in spec.%s.namespaces",
		field, client.ObjectKeyFromObject(topic), namespace, use.field)
}
