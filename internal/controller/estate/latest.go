package estate

import (
	"context"
	"slices"

	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/kafka"
)

// latest is the connection to a KafkaCluster that was made last, whichever that
// is.
type latest struct {
	clusters *pool.Clusters
	name     string
}

// errNotConnected is what is known of a cluster that nobody has connected to.
var errNotConnected = &kafka.Error{Class: kafka.Transient, Reason: kafka.Unreachable, Message: "there is no connection to the cluster"}

// Bindings implements grants.Cluster.
func (l latest) Bindings(ctx context.Context) (map[kafka.Binding]struct{}, error) {
	if cluster := l.clusters.Latest(l.name); cluster != nil {
		return cluster.Bindings(ctx)
	}
	return nil, errNotConnected
}

// Denials implements grants.Cluster.
func (l latest) Denials(ctx context.Context) (map[kafka.Binding]struct{}, error) {
	if cluster := l.clusters.Latest(l.name); cluster != nil {
		return cluster.Denials(ctx)
	}
	return nil, errNotConnected
}

// CreateBindings implements grants.Cluster.
func (l latest) CreateBindings(ctx context.Context, bindings []kafka.Binding) []error {
	if cluster := l.clusters.Latest(l.name); cluster != nil {
		return cluster.CreateBindings(ctx, bindings)
	}
	return slices.Repeat([]error{errNotConnected}, len(bindings))
}

// DeleteBindings implements grants.Cluster.
func (l latest) DeleteBindings(ctx context.Context, bindings []kafka.Binding) []error {
	if cluster := l.clusters.Latest(l.name); cluster != nil {
		return cluster.DeleteBindings(ctx, bindings)
	}
	return slices.Repeat([]error{errNotConnected}, len(bindings))
}
