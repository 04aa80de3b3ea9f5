package estate

import (
	"encoding/json"
	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/relay/config"
)

// Told is what the retry worker is told of a group and its policy, whose schedule
// that is. Waits is the number of wait topics that the record has.
func Told(group *v1alpha1.ConsumerGroup, policy *v1alpha1.DeadLetterPolicy, schedule []time.Duration, waits int) config.RetryGroup {
	told := config.RetryGroup{
		Name:            group.Namespace + "/" + group.Name,
		Group:           GroupID(group),
		MaxAttempts:     int(policy.Spec.Retry.MaxAttempts),
		JitterPercent:   int(policy.Spec.Retry.Backoff.JitterPercent),
		PermanentErrors: policy.Spec.Retry.PermanentErrors,
	}
	for _, delay := range schedule {
		told.Delays = append(told.Delays, config.Duration(delay))
	}
	// The wait topics of a longer schedule may not exist yet, and those of a
	// shorter one may still hold records.
	told.Waits = max(len(told.Delays), waits)
	if policy.Spec.Retry.MaxElapsed != nil {
		told.MaxElapsed = config.Duration(policy.Spec.Retry.MaxElapsed.Duration)
	}
	return told
}

// ToldToDrain is what the retry worker is told of a group whose lane is drained.
func ToldToDrain(key record.Key, entry record.Entry) config.RetryGroup {
	return config.RetryGroup{
		Name: entry.Holder.Namespace + "/" + entry.Holder.Name, Group: key.Name,
		Waits: entry.Lane.Waits, MaxAttempts: 1, Draining: drainWords[entry.Lane.Drain],
	}
}

var drainWords = map[record.Drain]string{record.ToRetry: config.ToRetry, record.ToDeadLetters: config.ToDeadLetters}

// ToldText is the file of a group, as the retry worker is given it.
func ToldText(told config.RetryGroup) string {
	text, err := json.Marshal(told)
	if err != nil {
		panic(err) // it holds nothing that cannot be written
	}
	return string(text)
}
