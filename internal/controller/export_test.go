package controller

import (
	"context"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/record"
)

// WokenBy is whom a sweep of a cluster wakes.
func (s *Sweeper) WokenBy(ctx context.Context, cluster *v1alpha1.KafkaCluster) (woken []record.Ref, err error) {
	one := *s
	one.wake = func(ref record.Ref) { woken = append(woken, ref) }
	_, err = one.Reconcile(ctx, cluster)
	return woken, err
}
