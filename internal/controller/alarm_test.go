package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// At a start, what is well as it is waits for what is not.
func TestWhatIsWellWaits(t *testing.T) {
	t.Parallel()
	queue := priorityqueue.New[reconcile.Request]("alarm-test")
	t.Cleanup(queue.ShutDown)
	alarms := &alarms{}
	alarms.topic.queue = queue
	topic := func(name string, observed int64, ready metav1.ConditionStatus) *v1alpha1.Topic {
		return &v1alpha1.Topic{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: 2},
			Status: v1alpha1.TopicStatus{ObservedGeneration: observed, Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionReady, Status: ready},
			}},
		}
	}
	alarms.look(topic("well", 2, metav1.ConditionTrue))
	alarms.look(topic("changed", 1, metav1.ConditionTrue))
	alarms.look(topic("in-trouble", 2, metav1.ConditionFalse))
	for _, want := range []string{"changed", "in-trouble", "well"} {
		got, _, _ := queue.GetWithPriority()
		if got.Name != want {
			t.Errorf("%s is first, want %s", got.Name, want)
		}
		queue.Done(got)
	}
}
