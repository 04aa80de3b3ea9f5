package consumergroup

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/lag"
)

func TestKeptNumbers(t *testing.T) {
	t.Parallel()
	before, group := &v1alpha1.ConsumerGroup{}, &v1alpha1.ConsumerGroup{}
	before.Status.State, before.Status.Members, before.Status.Lag = "Stable", 2, &v1alpha1.Lag{Records: 5}
	before.Status.DeadLetters = &v1alpha1.DeadLetterStatus{Topic: "dlt", Depth: new(int64(1)), WaitTopics: 1}
	group.Status.State, group.Status.Lag = "Empty", &v1alpha1.Lag{Records: 6}
	group.Status.DeadLetters = &v1alpha1.DeadLetterStatus{Topic: "dlt", Depth: new(int64(2)), WaitTopics: 2}
	keepNumbers(before, group)
	want := before.DeepCopy()
	want.Status.DeadLetters.WaitTopics = 2 // a fact, not a number
	if diff := cmp.Diff(want, group); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestSetLag(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	measured := func(change func(*lag.Report)) lag.Report {
		report := lag.Report{
			Spec: lag.Spec{MaxRecords: 10}, State: "Stable", Type: "Consumer", Members: 2, Checked: now,
			Measurement: lag.Measurement{At: now, Records: 1234, Seconds: 2.5, Topics: []lag.TopicLag{{Topic: "orders", Records: 1234, Seconds: 2.5}}},
		}
		change(&report)
		return report
	}
	unreachable := &kafka.Error{Class: kafka.Transient, Reason: kafka.Unreachable, Message: "no broker answers"}
	late := metav1.Condition{Type: v1alpha1.ConditionLagging, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTimeLag, Message: "late"}
	inTime := metav1.Condition{Type: v1alpha1.ConditionLagging, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWithinObjective, Message: "in time"}
	for name, test := range map[string]struct {
		before  []metav1.Condition
		report  lag.Report
		known   bool
		lagging metav1.Condition
		numbers *v1alpha1.Lag
		reason  string // of the halt; none means Ready
	}{
		"not measured yet": {
			lagging: metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonLagUnknown, Message: "the group has not been measured yet"},
			reason:  v1alpha1.ReasonProgressing,
		},
		"without an objective": {
			known: true, report: measured(func(r *lag.Report) { r.Spec.MaxRecords = 0 }),
			lagging: metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWithinObjective, Message: "spec.lag sets no objective"},
			numbers: &v1alpha1.Lag{Records: 1200, TimeSeconds: new(int64(3))},
		},
		"keeping up": {
			known: true, report: measured(func(*lag.Report) {}),
			lagging: metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWithinObjective, Message: "the group keeps up with its objective"},
			numbers: &v1alpha1.Lag{Records: 1200, TimeSeconds: new(int64(3))},
		},
		"lagging with members": {
			known: true, report: measured(func(r *lag.Report) { r.OverRecords, r.OverSince = true, now }),
			lagging: metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRecordLag, Message: "more records are unread than lag.maxRecords allows"},
			numbers: &v1alpha1.Lag{Records: 1200, TimeSeconds: new(int64(3))},
		},
		"an old measurement has no time": {
			known: true, report: measured(func(r *lag.Report) { r.Checked, r.Err = now.Add(time.Minute), unreachable }),
			lagging: metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonLagUnknown, Message: "no broker answers"},
			numbers: &v1alpha1.Lag{Records: 1200},
			reason:  kafka.Unreachable,
		},
		"one partition cannot be read": {
			known: true, report: measured(func(r *lag.Report) { r.Err = unreachable }),
			lagging: metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonLagUnknown, Message: "no broker answers"},
			numbers: &v1alpha1.Lag{Records: 1200, TimeSeconds: new(int64(3))},
		},
		"records are lost": {
			known: true, report: measured(func(r *lag.Report) { r.Lost = 400 }),
			lagging: metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRecordsLost, Message: "records were deleted by the topic's retention before the group read them"},
			numbers: &v1alpha1.Lag{Records: 1200, TimeSeconds: new(int64(3))},
		},
		"a restart takes no Ready away, and gives no all-clear": {
			before:  []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}, late},
			lagging: late,
		},
		"a restart, and nothing was wrong": {
			before:  []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}, inTime},
			lagging: metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonLagUnknown, Message: "the group has not been measured yet"},
		},
		"an outage gives no all-clear": {
			before: []metav1.Condition{late},
			known:  true, report: measured(func(r *lag.Report) { r.Checked, r.Err = now.Add(time.Minute), unreachable }),
			lagging: late,
			numbers: &v1alpha1.Lag{Records: 1200},
			reason:  kafka.Unreachable,
		},
		"never measured": {
			known: true, report: lag.Report{Checked: now, Err: errors.New("a share group")},
			lagging: metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonLagUnknown, Message: "a share group"},
			reason:  kafka.KafkaError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := &v1alpha1.ConsumerGroup{}
			for _, condition := range test.before {
				settle.SetCondition(group, condition.Type, condition.Status, condition.Reason, condition.Message)
			}
			err := setLag(group.DeepCopy(), group, test.report, test.known, test.report.Checked)
			switch {
			case err == nil && test.reason != "":
				t.Errorf("setLag returned nothing, want a halt with %s", test.reason)
			case err != nil && halt.Of(err).Reason != test.reason:
				t.Errorf("setLag returned %s: %v, want %q", halt.Of(err).Reason, err, test.reason)
			}
			got := *meta.FindStatusCondition(group.Status.Conditions, v1alpha1.ConditionLagging)
			got.LastTransitionTime, test.lagging.Type = metav1.Time{}, v1alpha1.ConditionLagging
			if diff := cmp.Diff(test.lagging, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.numbers, group.Status.Lag); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}
