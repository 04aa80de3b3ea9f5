package claims

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// AddIndexes indexes the cache by the names that Topics and ConsumerGroups lay
// claim to, and by the Topics that others refer to.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		obj   client.Object
		field string
		keys  client.IndexerFunc
	}{
		{&v1alpha1.Topic{}, Index, func(obj client.Object) []string { return PossibleNames(obj.(*v1alpha1.Topic)) }},
		{&v1alpha1.ConsumerGroup{}, Index, func(obj client.Object) []string { return []string{GroupID(obj.(*v1alpha1.ConsumerGroup))} }},
		{&v1alpha1.ConsumerGroup{}, TopicRefIndex, referredKeys},
		{&v1alpha1.OutboxRelay{}, TopicRefIndex, referredKeys},
	} {
		if err := indexer.IndexField(ctx, index.obj, index.field, index.keys); err != nil {
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
			keys = append(keys, TopicKey(ref, o.Namespace))
		}
	case *v1alpha1.OutboxRelay:
		for _, route := range o.Spec.Routes {
			keys = append(keys, TopicKey(route.TopicRef, o.Namespace))
		}
	}
	return keys
}

func referredKeys(obj client.Object) []string {
	var keys []string
	for _, key := range TopicsOf(obj) {
		keys = append(keys, key.String())
	}
	return keys
}
