package outboxrelay

import (
	"fmt"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

// backlogAge is how old the oldest waiting row of a working relay may be
// before it is Backlogged.
const backlogAge = time.Minute

// judge sets what status says of a relay's work, from what its pods say
// and in the light of its spec, and returns the halt that the pass ends with;
// nil means publishing, or nothing to publish. NoPod is why Kubernetes makes no
// pod, if it makes none. It is pure.
func judge(relay *v1alpha1.OutboxRelay, states []worker.PodState[config.OutboxState], noPod string) error {
	active, failing := leading(states)
	setNumbers(relay, active, failing)
	setBacklogged(relay, active, failing)

	switch {
	case relay.Status.Workload != nil && relay.Status.Workload.Replicas == 0:
		return halt.Wait("ScaledToZero", "spec.replicas is 0: rows wait in the table until it is raised")
	case failing != nil && failing.Current && active != nil && !active.Current:
		return problemHalt(failing.State.Problem, "; the worker of the previous spec goes on publishing")
	case active != nil && active.Current:
		return nil
	case failing != nil && failing.Current:
		return problemHalt(failing.State.Problem, "")
	case active != nil:
		return halt.Progress("the worker is being replaced by one with the new spec; the old one goes on publishing%s", because(states, noPod))
	case noPod != "":
		return halt.Progress("%s", noPod)
	case len(states) == 0:
		return halt.Progress("waiting for the worker's pod")
	case states[0].Err != nil:
		return halt.Progress("waiting for the worker: %v", states[0].Err)
	default:
		return halt.Progress("the worker is starting")
	}
}

// because says what keeps the new pod from taking over; empty where nothing does.
func because(states []worker.PodState[config.OutboxState], noPod string) string {
	if noPod != "" {
		return ": " + noPod
	}
	if newest := states[0]; newest.Current && newest.Err != nil {
		return ": " + newest.Err.Error()
	}
	return ""
}

// leading picks the pod that publishes, and the newest one that cannot.
func leading(states []worker.PodState[config.OutboxState]) (active, failing *worker.PodState[config.OutboxState]) {
	for i := range states {
		switch state := states[i].State; {
		case state == nil:
		case state.Phase == config.Active && active == nil:
			active = &states[i]
		case state.Phase == config.Failing && state.Problem != nil && failing == nil:
			failing = &states[i]
		}
	}
	return active, failing
}

// passing are the reasons of workers' problems that may pass by themselves.
var passing = []string{"DatabaseUnreachable", "KafkaUnreachable", "KafkaError", "TopicUnavailable", "TopicLimitChanged", "NotAcknowledged"}

// problemHalt turns what a worker says into a condition: what passes by itself
// is Reconciling, what somebody has to mend is Stalled. The worker keeps
// trying either way.
func problemHalt(problem *config.Problem, suffix string) error {
	kind := halt.Stalled
	if slices.Contains(passing, problem.Reason) {
		kind = halt.Progressing
	}
	return &halt.Halt{Kind: kind, Reason: worker.Reason(problem), Message: problem.Message + suffix}
}

func setNumbers(relay *v1alpha1.OutboxRelay, active, failing *worker.PodState[config.OutboxState]) {
	source := active
	if source == nil {
		source = failing
	}
	relay.Status.PendingRows, relay.Status.OldestPendingSeconds = nil, nil
	if source == nil {
		return
	}
	state := source.State
	if state.PendingRows >= 0 {
		relay.Status.PendingRows = new(settle.RoundCount(state.PendingRows))
	}
	if state.OldestPendingSeconds >= 0 && relay.Spec.Outbox.Columns.CreatedAt != "" {
		relay.Status.OldestPendingSeconds = new(int64(math.Round(state.OldestPendingSeconds)))
	}
	if !state.LastPublished.IsZero() {
		relay.Status.LastPublishedTime = &metav1.Time{Time: state.LastPublished.Truncate(time.Second)}
	}
}

func setBacklogged(relay *v1alpha1.OutboxRelay, active, failing *worker.PodState[config.OutboxState]) {
	set := func(status metav1.ConditionStatus, reason, format string, args ...any) {
		settle.SetCondition(relay, v1alpha1.ConditionBacklogged, status, reason, fmt.Sprintf(format, args...))
	}
	switch {
	case failing != nil && active == nil && failing.State.PendingRows > 0:
		set(metav1.ConditionTrue, v1alpha1.ReasonRowsWaiting, "rows wait in %s: %s", relay.Spec.Outbox.Table, failing.State.Problem.Message)
	case failing != nil && active == nil && failing.State.PendingRows == 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonKeepingUp, "no rows wait")
	case active != nil && active.State.OldestPendingSeconds > backlogAge.Seconds():
		set(metav1.ConditionTrue, v1alpha1.ReasonRowsWaiting, "the oldest row in %s has waited for more than %s", relay.Spec.Outbox.Table, backlogAge)
	case active != nil && active.State.PendingRows >= 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonKeepingUp, "rows are published as they come")
	default:
		set(metav1.ConditionUnknown, v1alpha1.ReasonBacklogUnknown, "no worker has told yet how many rows wait")
	}
}
