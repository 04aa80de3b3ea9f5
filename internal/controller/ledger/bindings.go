package ledger

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
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
