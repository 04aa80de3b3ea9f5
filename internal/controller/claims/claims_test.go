package claims

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/deadletter"
)

func TestClaimOrder(t *testing.T) {
	t.Parallel()
	claimOf := func(name string, second int64, holds bool) claim {
		topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(second, 0)),
		}}
		return claim{Object: topic, holds: holds}
	}
	for name, test := range map[string]struct{ first, second claim }{
		"the older":                     {claimOf("b", 1, false), claimOf("a", 2, false)},
		"the name, of one second":       {claimOf("a", 1, false), claimOf("b", 1, false)},
		"the holder, though younger":    {claimOf("b", 2, true), claimOf("a", 1, false)},
		"the older, where both hold it": {claimOf("b", 1, true), claimOf("a", 2, true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !test.first.before(test.second) || test.second.before(test.first) {
				t.Error("the claims are in another order")
			}
		})
	}
}

func TestGroupOfLane(t *testing.T) {
	t.Parallel()
	lane, err := deadletter.Topics("shop.wait.billing", 12)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range lane {
		if id, ok := groupOfLane(topic); !ok || id != "shop.wait.billing" {
			t.Errorf("groupOfLane(%q) = %q, %t", topic, id, ok)
		}
	}
	for _, topic := range []string{"orders", "shop.orders", "shop.failures", ".", "failed"} {
		if id, ok := groupOfLane(topic); ok {
			t.Errorf("groupOfLane(%q) = %q", topic, id)
		}
	}
}
