package lagging

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/lag"
)

// The KafkaCluster goes by force between a group's declaration and the first
// cycle: what is asked of it is an error, and no reason to crash.
func TestClusterWithoutConnection(t *testing.T) {
	t.Parallel()
	source := &lagSource{connect: func() *kafka.Cluster { return nil }}
	if got := source.DescribeGroups(t.Context(), []string{"billing"})["billing"]; got.Err != errNotConnected {
		t.Errorf("group: %+v", got)
	}
	if got := source.CommittedOffsets(t.Context(), []string{"billing"})["billing"]; got.Err != errNotConnected {
		t.Errorf("commits: %+v", got)
	}
	if got := source.PartitionOffsets(t.Context(), map[string][]time.Time{"orders": nil})["orders"]; got.Err != errNotConnected {
		t.Errorf("offsets: %+v", got)
	}
}

// Clusters come and go; their collectors end with them. A bubble ends only once
// every goroutine in it has.
func TestCollectorsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(func(string) *kafka.Cluster { return nil }, time.Second, func(types.NamespacedName) {})
		ctx, cancel := context.WithCancel(t.Context())
		var started sync.WaitGroup
		started.Go(func() { _ = c.Start(ctx) })
		for i := range 1000 {
			cluster := fmt.Sprint("cluster-", i)
			c.Set(ctx, cluster, types.NamespacedName{Namespace: "finance", Name: "billing"}, lag.Spec{Group: "billing", Topics: []string{"orders"}})
			if i%100 == 0 {
				time.Sleep(2 * time.Second) // it measures
			}
			c.End(cluster)
			c.End(cluster) // twice does no harm
		}
		if reports := c.Reports(); len(reports) > 0 || len(c.running) > 0 {
			t.Errorf("left: %d reports, %d collectors", len(reports), len(c.running))
		}
		cancel()
		started.Wait()
	})
}
