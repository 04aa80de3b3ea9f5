package controller

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

// corrections tells resources, in events, of bindings that somebody else had
// removed.
type corrections struct {
	client  client.Client // the cache
	settler settle.Settler
}

func (c corrections) tell(owner record.Ref, binding kafka.Binding) {
	var obj client.Object
	switch owner.Kind {
	case estate.KindCluster:
		obj = &v1alpha1.KafkaCluster{}
	case estate.KindTopic:
		obj = &v1alpha1.Topic{}
	case estate.KindRelay:
		obj = &v1alpha1.OutboxRelay{}
	case estate.KindGroup:
		obj = &v1alpha1.ConsumerGroup{}
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.client.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, obj) == nil {
		c.settler.Event(obj, "DriftCorrected", "Grant", "somebody else removed an ACL binding; put right: %s", binding)
	}
}
