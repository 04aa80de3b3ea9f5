package estate

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/record"
)

// TopicRefIndex indexes OutboxRelays and ConsumerGroups by the Topics that
// they refer to, as "namespace/name".
const TopicRefIndex = "weir.dev/topic-ref"

// AddIndexes makes that index.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, obj := range []client.Object{&v1alpha1.ConsumerGroup{}, &v1alpha1.OutboxRelay{}} {
		if err := indexer.IndexField(ctx, obj, TopicRefIndex, func(obj client.Object) []string {
			var keys []string
			for _, key := range TopicsOf(obj) {
				keys = append(keys, key.String())
			}
			return keys
		}); err != nil {
			return err
		}
	}
	return nil
}

// TopicsOf are the Topics that a ConsumerGroup or an OutboxRelay refers to.
func TopicsOf(obj client.Object) []client.ObjectKey {
	var keys []client.ObjectKey
	switch o := obj.(type) {
	case *v1alpha1.ConsumerGroup:
		for _, ref := range o.Spec.Topics {
			keys = append(keys, topicOf(ref, o.Namespace))
		}
	case *v1alpha1.OutboxRelay:
		for _, route := range o.Spec.Routes {
			keys = append(keys, topicOf(route.TopicRef, o.Namespace))
		}
	}
	return keys
}

// topicOf is the Topic that a reference from a namespace means.
func topicOf(ref v1alpha1.TopicReference, namespace string) client.ObjectKey {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return client.ObjectKey{Namespace: namespace, Name: ref.Name}
}

// Purpose is what a reference to a Topic is for: it decides whose consent is
// needed across namespaces.
type Purpose struct {
	field string
	rule  func(*v1alpha1.Topic) v1alpha1.NamespaceRule
}

// What references are for.
var (
	ToConsume = Purpose{"allowedConsumers", func(t *v1alpha1.Topic) v1alpha1.NamespaceRule { return t.Spec.AllowedConsumers.Namespaces }}
	ToProduce = Purpose{"allowedProducers", func(t *v1alpha1.Topic) v1alpha1.NamespaceRule { return t.Spec.AllowedProducers.Namespaces }}
)

// Reference is a Topic that a field of a resource refers to.
type Reference struct {
	v1alpha1.TopicReference
	Field string
}

// Referred is what a reference leads to.
type Referred struct {
	// Topic is the resource; nil where it does not exist.
	Topic *v1alpha1.Topic
	// Name is the topic's in Kafka; empty where that is not known, or where its
	// owner does not consent.
	Name string
	// Want is how much may be wanted of it: Grant where all is well, Keep where
	// what was granted stays; zero where nothing may.
	Want grants.Want
}

// Resolve follows the references of a resource in a namespace. All Topics must
// exist, consent, and be in Kafka, on the same cluster. What was found is told
// besides a halt that says what is amiss; nothing where it cannot be known now.
func (e *Estates) Resolve(ctx context.Context, place Place, references []Reference, namespace string, to Purpose) ([]Referred, error) {
	var all []Referred
	var errs []error
	for _, ref := range references {
		one, err := e.resolve(ctx, place, ref, namespace, to)
		if _, halted := halt.As(err); err != nil && !halted {
			return nil, err
		}
		all, errs = append(all, one), append(errs, err)
	}
	return all, halt.Together(errs...)
}

func (e *Estates) resolve(ctx context.Context, place Place, ref Reference, namespace string, to Purpose) (Referred, error) {
	key := topicOf(ref.TopicReference, namespace)
	owner := record.Ref{Kind: KindTopic, Namespace: key.Namespace, Name: key.Name}
	held := place.Holds(owner, record.Topic)
	var topic v1alpha1.Topic
	err := e.Cache.Get(ctx, key, &topic)
	if apierrors.IsNotFound(err) {
		gone := Referred{Name: held}
		if held != "" {
			gone.Want = grants.Keep
		}
		return gone, halt.Wait(v1alpha1.ReasonTopicNotFound, "%s: Topic %s does not exist; create it, or correct the reference", ref.Field, key)
	}
	if err != nil {
		return Referred{}, fmt.Errorf("reading Topic %s: %w", key, err)
	}
	if err := e.Consents(ctx, &topic, namespace, ref.Field, to); err != nil {
		return Referred{Topic: &topic}, err
	}
	if other := e.Clusters.NameOf(&topic); other != place.Resource.Name {
		return Referred{Topic: &topic}, halt.Stall(v1alpha1.ReasonTopicNotFound, "%s: Topic %s is on KafkaCluster %q, and this resource on %q; set spec.clusterRef to the same",
			ref.Field, key, other, place.Resource.Name)
	}
	if held == "" || held != TopicName(&topic) {
		found := Referred{Topic: &topic}
		if held == "" && place.Rebuilt(owner) && place.Verdict(owner, nil).Outcome == names.Mine {
			found.Name, found.Want = TopicName(&topic), grants.Keep // it was there before the record was lost
		}
		return found, halt.Wait(v1alpha1.ReasonTopicNotReady, "%s: Topic %s does not exist in Kafka yet; see its conditions", ref.Field, key)
	}
	return Referred{&topic, held, grants.Grant}, nil
}

// Consents checks that a Topic admits the namespace of a resource that refers to
// it. Errors are halts.
func (e *Estates) Consents(ctx context.Context, topic *v1alpha1.Topic, namespace, field string, to Purpose) error {
	if topic.Namespace == namespace {
		return nil
	}
	rule := to.rule(topic)
	switch rule.From {
	case v1alpha1.FromAll:
		return nil
	case v1alpha1.FromSelector:
		ok, err := e.Clusters.NamespaceMatches(ctx, namespace, rule.Selector)
		if err != nil || ok {
			return err
		}
	}
	return halt.Stall(v1alpha1.ReasonNotAllowed,
		"%s: Topic %s does not admit namespace %q; its owner has to allow it in spec.%s.namespaces",
		field, client.ObjectKeyFromObject(topic), namespace, to.field)
}
