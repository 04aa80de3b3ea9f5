package lag

import (
	"math"
	"slices"
	"time"
)

// ladder is a list of ages, ascending, at which the brokers are asked for a
// place in a topic's log.
type ladder []time.Duration

// defaultLadder is for groups without an objective in time.
var defaultLadder = ladder{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// ladderOf returns the rungs that a group needs: the objective itself, which
// must be among them to be tested exactly, one below and two above.
func ladderOf(spec Spec) ladder {
	if spec.MaxTime <= 0 {
		return defaultLadder
	}
	rungs := ladder{spec.MaxTime / 4, spec.MaxTime}
	for _, factor := range []time.Duration{4, 16} {
		if spec.MaxTime <= forever/factor {
			rungs = append(rungs, factor*spec.MaxTime)
		}
	}
	return rungs
}

// ladders returns a ladder for every topic that one of the specs names, with
// the rungs of all of them.
func ladders(specs map[string]Spec) map[string]ladder {
	byTopic := make(map[string]ladder)
	for _, spec := range specs {
		rungs := ladderOf(spec)
		for _, topic := range spec.Topics {
			byTopic[topic] = append(byTopic[topic], rungs...)
		}
	}
	for topic, rungs := range byTopic {
		slices.Sort(rungs)
		byTopic[topic] = slices.Compact(rungs)
	}
	return byTopic
}

// before returns the times that are as old as the rungs at now.
func (l ladder) before(now time.Time) []time.Time {
	times := make([]time.Time, len(l))
	for i, age := range l {
		times[i] = now.Add(-age)
	}
	return times
}

// span bounds an age. Most is forever beyond the ladder.
type span struct {
	least, estimate, most time.Duration
}

const forever = time.Duration(math.MaxInt64)

// timeLag bounds the age of the oldest unread record, zero where all is read.
//
// after[i] is the first offset that is not older than rung i. So the record at
// position is older than a rung if position < after[i], and otherwise not; the
// first rung that it is not older than and the rung below it are exact bounds.
// Between the two the estimate assumes that records came evenly.
//
//	age      rung i        rung i−1           0
//	         ├───────────────┼────────────────┤
//	offset   after[i]  ≤ p < after[i−1]  …   end
func (l ladder) timeLag(position int64, o Offsets) span {
	if position >= o.End {
		return span{}
	}
	younger, youngerAt := time.Duration(0), o.End
	for i, older := range l {
		olderAt := o.After[i]
		if position < olderAt {
			younger, youngerAt = older, olderAt
			continue
		}
		// youngerAt > position ≥ olderAt, so there is no division by zero.
		read := float64(position-olderAt) / float64(youngerAt-olderAt)
		return span{
			least:    younger,
			estimate: older - time.Duration(read*float64(older-younger)),
			most:     older,
		}
	}
	return span{least: younger, estimate: younger, most: forever}
}
