package settle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
)

// Numbers are written with a change of a condition, and otherwise once an interval.
func TestNumbersAreDue(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	n := NewNumbers(time.Minute)
	n.now = func() time.Time { return now }
	group := &v1alpha1.ConsumerGroup{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	setShared(group, Ready{"Ready", "all is well"}, nil)
	wants := func(what string, due bool, err error) {
		t.Helper()
		after := group.DeepCopy()
		if got := n.Due(group, after, Ready{"Ready", "all is well"}, err); got != due {
			t.Errorf("%s: due is %t", what, got)
		}
	}
	wants("the first time", true, nil)
	wants("at once again", false, nil)
	wants("with a condition", true, halt.Wait("TopicNotFound", "no Topic"))
	now = now.Add(59 * time.Second)
	wants("before the interval is over", false, nil)
	now = now.Add(time.Second)
	wants("after the interval", true, nil)
	n.Forget(group)
	wants("of another object of that name", true, nil)
}

func TestRoundCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]int64{0: 0, 7: 7, 999: 999, 1000: 1000, 1049: 1000, 1999: 1900, 12345: 12000, 999999: 990000, 1<<62 + 1: 4600000000000000000} {
		if got := RoundCount(n); got != want {
			t.Errorf("roundCount(%d) = %d, want %d", n, got, want)
		}
	}
}
