package pool

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// Residents calls fn with every resource on a cluster. They are the cache's own:
// fn changes nothing in them.
func (c *Clusters) Residents(ctx context.Context, cluster string, fn func(Resident)) error {
	for _, list := range []client.ObjectList{&v1alpha1.TopicList{}, &v1alpha1.OutboxRelayList{}, &v1alpha1.ConsumerGroupList{}} {
		if err := c.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if resident := item.(Resident); c.NameOf(resident) == cluster {
				fn(resident)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
