package outboxrelay

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// The pods in these tables: of the config that is rendered now, or of an older one.
type pods = []worker.PodState[config.OutboxState]

func says(current bool, state config.OutboxState) worker.PodState[config.OutboxState] {
	return worker.PodState[config.OutboxState]{Pod: "worker", Current: current, State: &state}
}

func failing(reason string) config.OutboxState {
	return config.OutboxState{
		Phase: config.Failing, PendingRows: 5, OldestPendingSeconds: -1,
		Problem: &config.Problem{Reason: reason, Message: "cure it"},
	}
}

func TestJudgeRelay(t *testing.T) {
	t.Parallel()
	active := config.OutboxState{Phase: config.Active, OldestPendingSeconds: -1}
	idle := func(phase string) config.OutboxState {
		return config.OutboxState{Phase: phase, PendingRows: -1, OldestPendingSeconds: -1}
	}
	const handover = "; the worker of the previous spec goes on publishing"
	for name, test := range map[string]struct {
		replicas *int32
		pods     pods
		want     error // nil: Ready
	}{
		"publishing":                      {pods: pods{says(true, active)}},
		"publishing beside a standby":     {pods: pods{says(true, idle(config.Standby)), says(true, active)}},
		"publishing beside a failing one": {pods: pods{says(true, failing("KafkaUnauthorized")), says(true, active)}},
		"scaled to zero": {
			replicas: new(int32(0)), pods: pods{says(true, active)},
			want: halt.Wait("ScaledToZero", "spec.replicas is 0: rows wait in the table until it is raised"),
		},
		"no pod":          {want: halt.Progress("waiting for the worker's pod")},
		"starting":        {pods: pods{says(true, idle(config.Starting))}, want: halt.Progress("the worker is starting")},
		"standing by":     {pods: pods{says(true, idle(config.Standby))}, want: halt.Progress("the worker is starting")},
		"an unknown word": {pods: pods{says(true, idle("Dreaming"))}, want: halt.Progress("the worker is starting")},
		"silent": {
			pods: pods{{Pod: "worker", Current: true, Err: errors.New("pod worker does not answer")}},
			want: halt.Progress("waiting for the worker: pod worker does not answer"),
		},
		"handing over": {
			pods: pods{says(true, idle(config.Standby)), says(false, active)},
			want: halt.Progress("the worker is being replaced by one with the new spec; the old one goes on publishing"),
		},
		"the new one cannot": {
			pods: pods{says(true, failing("TableNotFound")), says(false, active)},
			want: &halt.Halt{Kind: halt.Stalled, Reason: "TableNotFound", Message: "cure it" + handover},
		},
		"the new one cannot for now": {
			pods: pods{says(true, failing("DatabaseUnreachable")), says(false, active)},
			want: &halt.Halt{Kind: halt.Progressing, Reason: "DatabaseUnreachable", Message: "cure it" + handover},
		},
		"only the old one cannot": {
			pods: pods{says(true, active), says(false, failing("TableNotFound"))},
		},
		"the old one cannot, the new one is starting": {
			pods: pods{says(true, idle(config.Starting)), says(false, failing("TableNotFound"))},
			want: halt.Progress("the worker is starting"),
		},
		"refused": {
			pods: pods{says(true, failing("PrivilegeMissing"))},
			want: &halt.Halt{Kind: halt.Stalled, Reason: "PrivilegeMissing", Message: "cure it"},
		},
		"an outage": {
			pods: pods{says(true, failing("KafkaUnreachable"))},
			want: &halt.Halt{Kind: halt.Progressing, Reason: "KafkaUnreachable", Message: "cure it"},
		},
		"too few replicas in sync": {
			pods: pods{says(true, failing("NotAcknowledged"))},
			want: &halt.Halt{Kind: halt.Progressing, Reason: "NotAcknowledged", Message: "cure it"},
		},
		"a reason that the API server would refuse": {
			pods: pods{says(true, failing("no such thing!"))},
			want: &halt.Halt{Kind: halt.Stalled, Reason: "WorkerFailing", Message: "cure it"},
		},
		"failing without a word": {
			pods: pods{says(true, config.OutboxState{Phase: config.Failing})},
			want: halt.Progress("the worker is starting"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := &v1alpha1.OutboxRelay{}
			relay.Status.Workload = &v1alpha1.WorkloadStatus{Replicas: ptr.Deref(test.replicas, 1)}
			got := judge(relay, test.pods, "")
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(halt.Halt{})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRelayNumbers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	unknown := metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonBacklogUnknown, Message: "no worker has told yet how many rows wait"}
	keepingUp := metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKeepingUp, Message: "rows are published as they come"}
	for name, test := range map[string]struct {
		createdAt  string
		pods       pods
		want       v1alpha1.OutboxRelayStatus
		backlogged metav1.Condition
	}{
		"nobody tells": {backlogged: unknown},
		"a standby does not know": {
			pods:       pods{says(true, config.OutboxState{Phase: config.Standby, PendingRows: -1, OldestPendingSeconds: -1})},
			backlogged: unknown,
		},
		"an active one before it has counted": {
			pods:       pods{says(true, config.OutboxState{Phase: config.Active, PendingRows: -1, OldestPendingSeconds: -1})},
			backlogged: unknown,
		},
		"publishing": {
			createdAt: "created_at",
			pods:      pods{says(true, config.OutboxState{Phase: config.Active, PendingRows: 12345, OldestPendingSeconds: 59.6, LastPublished: at})},
			want: v1alpha1.OutboxRelayStatus{
				PendingRows: new(int64(12000)), OldestPendingSeconds: new(int64(60)), LastPublishedTime: new(metav1.NewTime(at.Truncate(time.Second))),
			},
			backlogged: keepingUp,
		},
		"ages without their column are not known": {
			pods:       pods{says(true, config.OutboxState{Phase: config.Active, OldestPendingSeconds: 0})},
			want:       v1alpha1.OutboxRelayStatus{PendingRows: new(int64(0))},
			backlogged: keepingUp,
		},
		"falling behind": {
			createdAt: "created_at",
			pods:      pods{says(true, config.OutboxState{Phase: config.Active, PendingRows: 7, OldestPendingSeconds: 61})},
			want:      v1alpha1.OutboxRelayStatus{PendingRows: new(int64(7)), OldestPendingSeconds: new(int64(61))},
			backlogged: metav1.Condition{
				Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRowsWaiting, Message: "the oldest row in public.outbox has waited for more than 1m0s",
			},
		},
		"an outage": {
			pods: pods{says(true, failing("KafkaUnreachable"))},
			want: v1alpha1.OutboxRelayStatus{PendingRows: new(int64(5))},
			backlogged: metav1.Condition{
				Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRowsWaiting, Message: "rows wait in public.outbox: cure it",
			},
		},
		"an outage while no rows wait": {
			pods: pods{says(true, config.OutboxState{
				Phase: config.Failing, OldestPendingSeconds: -1, Problem: &config.Problem{Reason: "KafkaUnreachable", Message: "cure it"},
			})},
			want:       v1alpha1.OutboxRelayStatus{PendingRows: new(int64(0))},
			backlogged: metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKeepingUp, Message: "no rows wait"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := &v1alpha1.OutboxRelay{}
			relay.Spec.Outbox.Table, relay.Spec.Outbox.Columns.CreatedAt = "public.outbox", test.createdAt
			_ = judge(relay, test.pods, "") // TestJudgeRelay looks at the verdict
			test.backlogged.Type = v1alpha1.ConditionBacklogged
			ignore := cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")
			if diff := cmp.Diff(test.backlogged, *meta.FindStatusCondition(relay.Status.Conditions, v1alpha1.ConditionBacklogged), ignore); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			relay.Status.Conditions = nil
			if diff := cmp.Diff(test.want, relay.Status); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

// Where only the operator cannot reach Kafka, the worker knows better, as long
// as it has the spec of now.
func TestWeigh(t *testing.T) {
	t.Parallel()
	verdict := halt.Progress("the worker's word")
	unreachable := halt.Kafka(&kafka.Error{Class: kafka.Transient, Reason: kafka.Unreachable, Message: "no broker answers"})
	notReady := halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster is not ready")
	broken := halt.Wait(v1alpha1.ReasonTopicNotFound, "no Topic")
	api := errors.New("the API server is away")
	for name, test := range map[string]struct {
		rolled  int64
		rollErr error
		want    error
	}{
		"rolled":                                {3, nil, verdict},
		"Kafka unreachable":                     {3, unreachable, verdict},
		"the cluster not ready":                 {3, notReady, verdict},
		"Kafka unreachable, another spec":       {2, unreachable, unreachable},
		"the cluster not ready, another spec":   {2, notReady, notReady},
		"a broken reference":                    {3, broken, broken},
		"the API server":                        {3, api, api},
		"a Deployment that does not say":        {-1, unreachable, unreachable},
		"a Deployment that says something else": {0, unreachable, unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := &v1alpha1.OutboxRelay{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			deployment := worker.Spec{Generation: test.rolled, Component: "outbox"}.Deployment()
			if test.rolled < 0 {
				deployment.Annotations[worker.GenerationAnnotation] = "yes"
			}
			if got := weigh(relay, deployment, test.rollErr, verdict); !errors.Is(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
