package settle_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
)

var well = settle.Ready{Reason: v1alpha1.ReasonReady, Message: "the topic and its grants are as declared"}

func TestSettle(t *testing.T) {
	t.Parallel()
	const every, resync = 5 * time.Second, time.Minute
	ready := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message}
	}
	with := func(kind string, c metav1.Condition) []metav1.Condition {
		return []metav1.Condition{c, {Type: kind, Status: metav1.ConditionTrue, Reason: c.Reason, Message: c.Message}}
	}
	broken := errors.New("the API server is away")
	unreachable := &kafka.Error{Class: kafka.Transient, Reason: kafka.Unreachable, Message: "no broker answers"}
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "topics"}, "orders", errors.New("newer"))
	for name, test := range map[string]struct {
		err        error
		conditions []metav1.Condition
		result     reconcile.Result
		returned   error
	}{
		"well": {
			conditions: []metav1.Condition{ready(metav1.ConditionTrue, "Ready", "the topic and its grants are as declared")},
			result:     reconcile.Result{RequeueAfter: every},
		},
		"an error of the API server is tried again": {
			err:        broken,
			conditions: with("Reconciling", ready(metav1.ConditionFalse, "Progressing", "the API server is away")),
			returned:   broken,
		},
		"a transient error of Kafka is tried again": {
			err:        halt.Kafka(unreachable),
			conditions: with("Reconciling", ready(metav1.ConditionFalse, "Unreachable", "no broker answers")),
			returned:   unreachable,
		},
		"what Kafka refuses stalls": {
			err:        halt.Kafka(&kafka.Error{Class: kafka.Rejected, Reason: kafka.InvalidConfig, Message: "bad value"}),
			conditions: with("Stalled", ready(metav1.ConditionFalse, "InvalidConfig", "bad value")),
			result:     reconcile.Result{RequeueAfter: resync},
		},
		"what we refuse stalls": {
			err:        halt.Stall("Conflict", "belongs to %s", "another"),
			conditions: with("Stalled", ready(metav1.ConditionFalse, "Conflict", "belongs to another")),
			result:     reconcile.Result{RequeueAfter: resync},
		},
		"waiting is neither": {
			err:        halt.Wait("TopicNotFound", "no Topic"),
			conditions: []metav1.Condition{ready(metav1.ConditionFalse, "TopicNotFound", "no Topic")},
			result:     reconcile.Result{RequeueAfter: resync},
		},
		"waiting for what nothing watches": {
			err:        halt.Soon(time.Second, halt.Wait("SecretNotFound", "no Secret")),
			conditions: []metav1.Condition{ready(metav1.ConditionFalse, "SecretNotFound", "no Secret")},
			result:     reconcile.Result{RequeueAfter: time.Second},
		},
		"progressing": {
			err:        halt.Progress("the worker is starting"),
			conditions: with("Reconciling", ready(metav1.ConditionFalse, "Progressing", "the worker is starting")),
			result:     reconcile.Result{RequeueAfter: every},
		},
		"suspended": {
			err:        halt.Suspend(),
			conditions: []metav1.Condition{ready(metav1.ConditionUnknown, "Suspended", "spec.suspend is true; nothing is touched")},
		},
		"a newer version of the object": {
			err:    fmt.Errorf("recording in status: %w", conflict),
			result: reconcile.Result{RequeueAfter: settle.ConflictRetry},
		},
		"several, of which one may pass": {
			err: halt.Together(halt.Stall("InvalidConfig", "bad value"), nil, halt.Kafka(unreachable), halt.Wait("TopicNotFound", "no Topic")),
			conditions: with("Reconciling", ready(metav1.ConditionFalse, "Unreachable",
				"no broker answers; bad value; no Topic")),
			returned: unreachable,
		},
		"several, of which one is refused": {
			err:        halt.Together(halt.Wait("TopicNotFound", "no Topic"), halt.Stall("NotAllowed", "no consent"), halt.Stall("NotAllowed", "no consent")),
			conditions: with("Stalled", ready(metav1.ConditionFalse, "NotAllowed", "no consent; no Topic")),
			result:     reconcile.Result{RequeueAfter: resync},
		},
		"a message of many lines": {
			err:        errors.Join(errors.New("one"), errors.New("two")),
			conditions: with("Reconciling", ready(metav1.ConditionFalse, "Progressing", "one two")),
			returned:   cmpopts.AnyError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			topic := h.Topic("orders")
			before := topic.DeepCopy()
			s := settle.Settler{Client: h.Parts.Client, Events: new(harness.Recorder), Resync: resync}
			result, err := s.Settle(t.Context(), before, topic, well, every, test.err)
			if diff := cmp.Diff(test.result, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.returned, err, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			h.Must(h.Live.Get(t.Context(), harness.KeyOf(topic), topic))
			for i, condition := range topic.Status.Conditions {
				if condition.ObservedGeneration != topic.Generation {
					t.Errorf("condition %s speaks of generation %d", condition.Type, condition.ObservedGeneration)
				}
				topic.Status.Conditions[i].ObservedGeneration, topic.Status.Conditions[i].LastTransitionTime = 0, metav1.Time{}
			}
			if diff := cmp.Diff(test.conditions, topic.Status.Conditions, cmpopts.EquateEmpty(),
				cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type })); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettleMeetsANewerVersion(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	topic := h.Topic("orders")
	stale := topic.DeepCopy()
	h.Update(topic, func() { topic.Labels = map[string]string{"team": "shop"} })
	s := settle.Settler{Client: h.Parts.Client, Events: new(harness.Recorder), Resync: time.Minute}
	result, err := s.Settle(t.Context(), stale.DeepCopy(), stale, well, 0, nil)
	if err != nil || result.RequeueAfter != settle.ConflictRetry {
		t.Errorf("settle returned %v, %v; want to come back after %s", result, err, settle.ConflictRetry)
	}
	h.Must(h.Live.Get(t.Context(), harness.KeyOf(topic), topic))
	if len(topic.Status.Conditions) > 0 {
		t.Errorf("a stale pass wrote %v", topic.Status.Conditions)
	}
}

func TestSettleCannotWrite(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	topic := h.Topic("orders")
	away := errors.New("the API server is away")
	defer h.API.Breaking(func(*http.Request) error { return away })()
	s := settle.Settler{Client: h.Parts.Client, Events: new(harness.Recorder), Resync: time.Minute}
	if _, err := s.Settle(t.Context(), topic.DeepCopy(), topic, well, 0, halt.Suspend()); !errors.Is(err, away) {
		t.Errorf("settle returned %v, want %v", err, away)
	}
}

// An object that Weir has let go is not written to, though others hold it.
func TestSettleLeavesWhatIsLetGo(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	topic := h.Topic("orders", func(topic *v1alpha1.Topic) { topic.Finalizers = []string{"example.com/other"} })
	h.Delete(topic)
	h.Pass(topic)
	if h.Gone(topic) || len(topic.Status.Conditions) > 0 {
		t.Errorf("status was written: %+v", topic.Status)
	}
	topic.Finalizers = nil
	h.Must(h.Live.Update(t.Context(), topic))
}
