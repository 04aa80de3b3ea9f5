package kafka

import (
	"context"
	"fmt"
)

// same refuses answers of another cluster than the expected one, which is the
// first that answers where the configuration names none: an address may
// lead elsewhere from one request to the next, and what has the same name there
// is not ours.
func (c *Cluster) same(clusterID *string) error {
	if clusterID == nil || *clusterID == "" || c.expected.CompareAndSwap(nil, clusterID) {
		return nil
	}
	want := *c.expected.Load()
	if *clusterID == want {
		return nil
	}
	return &Error{Class: Rejected, Reason: ClusterIDMismatch, Message: fmt.Sprintf(
		"the brokers at %s report cluster ID %q, and %q is expected; nothing is touched: correct spec.bootstrapServers, or set spec.clusterId to the cluster that is meant",
		c.servers(), *clusterID, want)}
}

// guard asks which cluster answers, before a request whose answer does not tell
// changes something.
func (c *Cluster) guard(ctx context.Context) error {
	metadata, err := c.clusterMetadata(ctx)
	if err != nil {
		return err
	}
	return c.same(metadata.ClusterID)
}
