package settle

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

// A status that the API server does not take is no reason to say nothing.
func TestStatusThatIsRefused(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(control.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	settler := Settler{Client: c, Events: &events.FakeRecorder{}}
	for name, spoil := range map[string]func(*v1alpha1.TopicStatus){
		"not-allowed": func(status *v1alpha1.TopicStatus) { status.TopicName = strings.Repeat("x", 1000) },
		"too-large": func(status *v1alpha1.TopicStatus) {
			for range 16 {
				status.Conditions = append(status.Conditions, metav1.Condition{
					Type: strings.Repeat("k", len(status.Conditions)+1), Status: metav1.ConditionTrue, Reason: "Large", LastTransitionTime: metav1.Now(),
					Message: strings.Repeat("x", 40000),
				})
			}
		},
	} {
		topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace(t), Name: name}}
		if err := c.Create(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		before := topic.DeepCopy()
		topic.Status.Partitions = 7
		spoil(&topic.Status)
		if _, err := settler.Settle(t.Context(), before, topic, Ready{Reason: "Ready", Message: "well"}, 0, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled} {
			condition := meta.FindStatusCondition(topic.Status.Conditions, kind)
			if condition == nil || condition.Reason != v1alpha1.ReasonStatusTooLarge || !strings.Contains(condition.Message, "make spec smaller") {
				t.Errorf("%s: %s is %+v", name, kind, condition)
			}
		}
		if topic.Status.ObservedGeneration != topic.Generation || topic.Status.Partitions != 0 {
			t.Errorf("%s: status is %+v", name, topic.Status)
		}
	}
}
