package controller

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

func parseBindings(lines []string) ([]kafka.Binding, error) {
	bindings := make([]kafka.Binding, len(lines))
	for i, line := range lines {
		binding, err := kafka.ParseBinding(line)
		if err != nil {
			return nil, fmt.Errorf("status.managedBindings: %w", err)
		}
		bindings[i] = binding
	}
	return bindings, nil
}

func formatBindings(bindings []kafka.Binding) []string {
	var lines []string
	for _, binding := range bindings {
		lines = append(lines, binding.String())
	}
	return lines
}

// managedBindings is where a resource's status lists the bindings that Weir made.
func managedBindings(obj client.Object) *[]string {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return &o.Status.ManagedBindings
	case *v1alpha1.Topic:
		return &o.Status.ManagedBindings
	case *v1alpha1.OutboxRelay:
		return &o.Status.ManagedBindings
	case *v1alpha1.ConsumerGroup:
		return &o.Status.ManagedBindings
	}
	panic(fmt.Sprintf("controller: %T owns no bindings", obj))
}

// clusterOf is the cluster on which a resource's bindings are; empty before
// its first pass.
func clusterOf(obj client.Object) string {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return o.Name
	case *v1alpha1.Topic:
		return o.Status.Cluster
	case *v1alpha1.OutboxRelay:
		return o.Status.Cluster
	case *v1alpha1.ConsumerGroup:
		return o.Status.Cluster
	}
	panic(fmt.Sprintf("controller: %T is on no cluster", obj))
}

// eachOwner calls fn with every resource that can own bindings.
func eachOwner(ctx context.Context, reader client.Reader, fn func(settle.Object) error) error {
	var (
		clusters v1alpha1.KafkaClusterList
		topics   v1alpha1.TopicList
		relays   v1alpha1.OutboxRelayList
		groups   v1alpha1.ConsumerGroupList
	)
	for _, list := range []client.ObjectList{&clusters, &topics, &relays, &groups} {
		if err := reader.List(ctx, list); err != nil {
			return err
		}
	}
	for i := range clusters.Items {
		if err := fn(&clusters.Items[i]); err != nil {
			return err
		}
	}
	for i := range topics.Items {
		if err := fn(&topics.Items[i]); err != nil {
			return err
		}
	}
	for i := range relays.Items {
		if err := fn(&relays.Items[i]); err != nil {
			return err
		}
	}
	for i := range groups.Items {
		if err := fn(&groups.Items[i]); err != nil {
			return err
		}
	}
	return nil
}
