package retry

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
)

// step is what becomes of the records of one topic.
type step struct {
	rules deadletter.Rules
	// wait is the number of the wait topic, from 1; zero for the failed topic.
	wait int
	// bury: the group is gone, and what waited for it becomes a dead letter.
	bury bool
}

// delay is how long a record of a wait topic waits that does not say so itself.
func (s step) delay() time.Duration {
	if s.wait <= len(s.rules.Delays) {
		return s.rules.Delays[s.wait-1]
	}
	return 0 // the schedule became shorter: it has waited long enough
}

// steps are the topics that the worker reads, by name.
func steps(groups []config.RetryGroup) map[string]step {
	all := map[string]step{}
	for _, g := range groups {
		rules := deadletter.Rules{
			Group:           g.Group,
			JitterPercent:   g.JitterPercent,
			MaxElapsed:      time.Duration(g.MaxElapsed),
			PermanentErrors: g.PermanentErrors,
			Drained:         g.Draining != "",
		}
		for _, delay := range g.Delays {
			rules.Delays = append(rules.Delays, time.Duration(delay))
		}
		all[deadletter.Failed(g.Group)] = step{rules: rules}
		for n := 1; n <= g.Waits; n++ {
			all[deadletter.Wait(g.Group, n)] = step{rules: rules, wait: n, bury: g.Draining == config.ToDeadLetters}
		}
	}
	return all
}

// need is what the worker must be allowed to do with a topic.
type need struct {
	group       string
	topic       string
	read, write bool
}

// needs are all topics of all groups, by group and then in the order in which
// a record passes them.
func needs(groups []config.RetryGroup) []need {
	var all []need
	for _, g := range groups {
		all = append(all, need{group: g.Group, topic: deadletter.Failed(g.Group), read: true})
		for n := 1; n <= g.Waits; n++ {
			all = append(all, need{group: g.Group, topic: deadletter.Wait(g.Group, n), read: true, write: g.Draining == ""})
		}
		if g.Draining != config.ToDeadLetters {
			all = append(all, need{group: g.Group, topic: deadletter.Retry(g.Group), write: true})
		}
		all = append(all, need{group: g.Group, topic: deadletter.DLT(g.Group), write: true})
	}
	return all
}

// written are the topics of groups that the worker writes.
func written(groups []config.RetryGroup) []string {
	var topics []string
	for _, n := range needs(groups) {
		if n.write {
			topics = append(topics, n.topic)
		}
	}
	return topics
}

// read are the topics of a group that the worker reads.
func read(g config.RetryGroup) []string {
	var topics []string
	for _, n := range needs([]config.RetryGroup{g}) {
		if n.read {
			topics = append(topics, n.topic)
		}
	}
	return topics
}

// move returns the record that r becomes, and where that goes. Key and value
// are r's own.
func (s step) move(r *kgo.Record, now time.Time) (moved *kgo.Record, to string) {
	moved = &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: now}
	if s.wait > 0 && s.bury {
		moved.Topic = deadletter.DLT(s.rules.Group)
		moved.Headers = kgoHeaders(deadletter.Bury(s.rules.Group, headersOf(r), r.Timestamp, now))
		return moved, toDLT
	}
	if s.wait > 0 {
		moved.Topic, moved.Headers = deadletter.Retry(s.rules.Group), r.Headers
		return moved, toRetry
	}
	decision := deadletter.Judge(s.rules, headersOf(r), r.Timestamp, now, rand.Float64())
	moved.Headers = kgoHeaders(decision.Headers)
	if decision.Wait == 0 {
		moved.Topic = deadletter.DLT(s.rules.Group)
		return moved, toDLT
	}
	moved.Topic = deadletter.Wait(s.rules.Group, decision.Wait)
	return moved, toWait
}
