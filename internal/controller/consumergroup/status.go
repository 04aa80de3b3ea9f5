package consumergroup

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/lag"
)

// setLag sets what status says of a group's lag, from the collector's last
// report. It returns a halt while the group has not been observed: the
// contract is in effect only then. A group that was Ready before stays so until
// a measurement says otherwise: a restart of the operator takes nothing away.
func setLag(before, group *v1alpha1.ConsumerGroup, report lag.Report, known bool, now time.Time) error {
	if !known || report.Checked.IsZero() {
		doubtLag(group, "the group has not been measured yet")
		if settle.WasReady(before) && before.Generation == group.Generation {
			return nil
		}
		// The collector wakes us when it has a verdict.
		return &halt.Halt{Kind: halt.Progressing, Reason: v1alpha1.ReasonProgressing, Message: "waiting for the first measurement of the group"}
	}
	group.Status.State, group.Status.Type, group.Status.Members = report.State, report.Type, int32(report.Members)
	if !report.At.IsZero() {
		setLagNumbers(group, report)
	}
	setLagging(group, report, now)
	if report.Err != nil && !report.Fresh() {
		return halt.Kafka(report.Err)
	}
	return nil
}

// doubtLag says that nothing is known of a group's lag now. What was True stays
// so: nothing was measured that says otherwise.
func doubtLag(group *v1alpha1.ConsumerGroup, why string) {
	if !meta.IsStatusConditionTrue(group.Status.Conditions, v1alpha1.ConditionLagging) {
		settle.SetCondition(group, v1alpha1.ConditionLagging, metav1.ConditionUnknown, v1alpha1.ReasonLagUnknown, why)
	}
}

func setLagging(group *v1alpha1.ConsumerGroup, report lag.Report, now time.Time) {
	set := func(status metav1.ConditionStatus, reason, message string) {
		settle.SetCondition(group, v1alpha1.ConditionLagging, status, reason, message)
	}
	switch verdict := report.Verdict(now); {
	case verdict == lag.Unknown && report.Err != nil:
		doubtLag(group, report.Err.Error())
	case verdict == lag.Unknown:
		doubtLag(group, "the last measurement did not succeed")
	case report.Lost > 0:
		set(metav1.ConditionTrue, v1alpha1.ReasonRecordsLost, "records were deleted by the topic's retention before the group read them"+stateWords(report))
	case verdict == lag.Lagging && report.OverTime:
		set(metav1.ConditionTrue, v1alpha1.ReasonTimeLag, "records older than "+report.Spec.MaxTime.String()+" (lag.maxTime) are unread"+stateWords(report))
	case verdict == lag.Lagging:
		set(metav1.ConditionTrue, v1alpha1.ReasonRecordLag, "more records are unread than lag.maxRecords allows"+stateWords(report))
	case report.Spec.MaxTime == 0 && report.Spec.MaxRecords == 0:
		set(metav1.ConditionFalse, v1alpha1.ReasonWithinObjective, "spec.lag sets no objective")
	default:
		set(metav1.ConditionFalse, v1alpha1.ReasonWithinObjective, "the group keeps up with its objective")
	}
}

// stateWords adds why a group may lag, where its state tells.
func stateWords(report lag.Report) string {
	switch {
	case report.State == "":
		return "; no client has used the group yet"
	case report.Members == 0:
		return "; the group has no members: its consumers are not running"
	default:
		return ""
	}
}

func setLagNumbers(group *v1alpha1.ConsumerGroup, report lag.Report) {
	lagOf := func(records int64, seconds float64) v1alpha1.Lag {
		rounded := v1alpha1.Lag{Records: settle.RoundCount(records)}
		if report.Fresh() {
			rounded.TimeSeconds = new(int64(math.Round(seconds)))
		}
		return rounded
	}
	group.Status.Lag = new(lagOf(report.Records, report.Seconds))
	group.Status.Topics, group.Status.Worst = nil, nil
	for _, topic := range report.Topics {
		group.Status.Topics = append(group.Status.Topics, v1alpha1.TopicLag{Topic: topic.Topic, Lag: lagOf(topic.Records, topic.Seconds)})
	}
	if worst := report.Worst; worst.Topic != "" {
		group.Status.Worst = &v1alpha1.PartitionLag{
			Topic: worst.Topic, Partition: worst.Partition, Lag: lagOf(worst.Records, worst.Seconds),
		}
	}
}

// keepNumbers leaves the volatile numbers of status as they were.
func keepNumbers(before, group *v1alpha1.ConsumerGroup) {
	group.Status.State, group.Status.Type, group.Status.Members = before.Status.State, before.Status.Type, before.Status.Members
	group.Status.Lag, group.Status.Worst, group.Status.Topics = before.Status.Lag, before.Status.Worst, before.Status.Topics
	if was, is := before.Status.DeadLetters, group.Status.DeadLetters; was != nil && is != nil {
		is.Depth, is.Waiting = was.Depth, was.Waiting
	}
}

// setRetries says where the failed records of a group do not move, to the team that
// may not see the KafkaCluster, and where the lane is drained.
func setRetries(group *v1alpha1.ConsumerGroup, place estate.Place) {
	drain, stopped := v1alpha1.ConditionDraining, v1alpha1.ConditionRetriesStopped
	meta.RemoveStatusCondition(&group.Status.Conditions, drain)
	if group.Status.DeadLetters == nil {
		meta.RemoveStatusCondition(&group.Status.Conditions, stopped)
		return
	}
	if group.Spec.DeadLetterPolicyRef == nil {
		settle.SetCondition(group, drain, metav1.ConditionTrue, v1alpha1.ReasonPolicyRemoved,
			"the group has no policy any more: records that wait still come back to topic "+deadletter.Retry(group.Status.GroupID)+
				" when they are due, and what fails now is a dead letter; status.deadLetters.waiting counts them")
	}
	cluster := place.Resource
	worker := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionRetryWorkerReady)
	retry, answers := place.RetryOf(group.Status.GroupID)
	of := "the retry worker of KafkaCluster " + cluster.Name
	switch {
	case worker != nil && worker.Status == metav1.ConditionFalse && worker.Reason != v1alpha1.ReasonProgressing:
		settle.SetCondition(group, stopped, metav1.ConditionTrue, worker.Reason,
			"failed records wait: "+of+" does not work, and its owner has to mend that: "+worker.Message)
	case answers && retry.Problem != nil:
		settle.SetCondition(group, stopped, metav1.ConditionTrue, retry.Problem.Reason, "failed records of this group wait: "+retry.Problem.Message)
	case !answers && worker != nil && worker.Status != metav1.ConditionTrue:
		settle.SetCondition(group, stopped, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, of+" is not seen at work: "+worker.Message)
	default:
		meta.RemoveStatusCondition(&group.Status.Conditions, stopped)
	}
}
