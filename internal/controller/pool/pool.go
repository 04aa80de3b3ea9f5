// Package pool keeps one connection a KafkaCluster: it finds the cluster that a
// resource lives on, reads the Secrets, and connects. What is done over the
// connection is nothing to it.
package pool

import (
	"context"
	"fmt"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Clusters keeps one connection a KafkaCluster, and finds the cluster that a
// resource lives on. Safe for concurrent use.
type Clusters struct {
	reader client.Reader // the cache
	// secrets reads past the cache, so that the manager may do with the right
	// to get Secrets, and never holds them all.
	secrets client.Reader
	// root knows the default, and the cluster IDs that KafkaClusters led to.
	root *record.Root
	// Namespace is the operator's, where the Secrets of KafkaClusters are.
	Namespace string

	mu          sync.Mutex
	connections map[string]connection // by KafkaCluster name
}

// connection is good for as long as the KafkaCluster and its certificates stay the same.
type connection struct {
	version string // UID and generation of the KafkaCluster
	// material is the certificates. Passwords are not in it: they
	// are read at every authentication.
	material string
	cluster  *kafka.Cluster
}

// New reads KafkaClusters by reader, and Secrets by secrets, past the cache.
// Namespace is the operator's.
func New(reader, secrets client.Reader, root *record.Root, namespace string) *Clusters {
	return &Clusters{reader: reader, secrets: secrets, root: root, Namespace: namespace, connections: map[string]connection{}}
}

// Version changes with the spec of a KafkaCluster.
func Version(resource *v1alpha1.KafkaCluster) string {
	return fmt.Sprintf("%s/%d", resource.UID, resource.Generation)
}

// Connect reads the Secrets of a KafkaCluster and returns its connection, made
// anew where the spec or a certificate has changed. It does not touch Kafka.
func (c *Clusters) Connect(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	config, material, err := c.config(ctx, resource)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.connections[resource.Name]
	if ok && known.version == Version(resource) && known.material == material {
		return known.cluster, nil
	}
	cluster, err := kafka.Connect(config)
	if err != nil {
		return nil, halt.Kafka(err)
	}
	if ok {
		// Calls under way fail, and their passes are made again.
		known.cluster.Close()
	}
	c.connections[resource.Name] = connection{version: Version(resource), material: material, cluster: cluster}
	return cluster, nil
}

// Latest is the connection to a KafkaCluster that was made last, nil if there is none.
func (c *Clusters) Latest(name string) *kafka.Cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connections[name].cluster
}

// Forget closes the connection of a KafkaCluster that is gone.
func (c *Clusters) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.connections[name]; ok {
		known.cluster.Close()
		delete(c.connections, name)
	}
}

// Close ends all connections.
func (c *Clusters) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, known := range c.connections {
		known.cluster.Close()
		delete(c.connections, name)
	}
}
