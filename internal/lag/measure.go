package lag

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// observation is what one cycle saw of the cluster.
type observation struct {
	// at is just before the commits were read, and the time from which the
	// ladders' ages count. So whatever is found unread and too old was both at
	// one moment: a group is never blamed for a record that it read in time.
	at      time.Time
	groups  map[string]Group
	commits map[string]Commits
	topics  map[string]Topic
	ladders map[string]ladder
}

// measure reports on one group. The Measurement is zero where nothing of the
// group could be measured.
func (o observation) measure(spec Spec) Report {
	group := o.groups[spec.Group]
	report := Report{
		Spec:    spec,
		State:   group.State,
		Type:    group.Type,
		Members: group.Members,
		Checked: o.at,
		Err:     group.Err,
	}
	if group.Type == typeShare {
		report.Err = fmt.Errorf("group %s is a share group, which commits no offsets to measure lag by", spec.Group)
		return report
	}
	commits := o.commits[spec.Group]
	if commits.Err != nil {
		report.Err = cmp.Or(report.Err, commits.Err)
		return report
	}
	measured := Measurement{
		At:         o.at,
		Topics:     make([]TopicLag, 0, len(spec.Topics)),
		Partitions: make([]PartitionLag, 0, o.partitionsOf(spec.Topics)),
	}
	for _, topic := range spec.Topics {
		err := measured.addTopic(spec, topic, o.topics[topic], o.ladders[topic], commits.Offsets)
		report.Err = cmp.Or(report.Err, err)
	}
	if len(measured.Partitions) == 0 && report.Err != nil {
		return report
	}
	measured.OverRecords = spec.MaxRecords > 0 && measured.Records > spec.MaxRecords
	report.Measurement = measured
	return report
}

func (o observation) partitionsOf(topics []string) int {
	n := 0
	for _, topic := range topics {
		n += len(o.topics[topic].Partitions)
	}
	return n
}

// addTopic adds the lag on a topic, and returns the first error that kept it
// from knowing all of it.
func (m *Measurement) addTopic(spec Spec, name string, topic Topic, rungs ladder, commits map[Partition]int64) error {
	if topic.Err != nil {
		return topic.Err
	}
	objective := slices.Index(rungs, spec.MaxTime)
	sum := TopicLag{Topic: name}
	var firstErr error
	for number, offsets := range topic.Partitions {
		if offsets.Err != nil {
			firstErr = cmp.Or(firstErr, offsets.Err)
			continue
		}
		partition := int32(number)
		committed, ok := commits[Partition{name, partition}]
		position, lost := positionOf(committed, ok, spec.InitialOffset, offsets)
		age := rungs.timeLag(position, offsets)
		lag := PartitionLag{
			Topic:     name,
			Partition: partition,
			Records:   max(0, offsets.End-position),
			Seconds:   age.estimate.Seconds(),
			AtLeast:   age.most == forever,
			Lost:      lost,
			OverTime:  objective >= 0 && position < offsets.After[objective],
		}
		m.Partitions = append(m.Partitions, lag)
		m.Lost += lag.Lost
		m.OverTime = m.OverTime || lag.OverTime
		sum.Records += lag.Records
		sum.Seconds = max(sum.Seconds, lag.Seconds)
		sum.AtLeast = sum.AtLeast || lag.AtLeast
		if lag.Records > 0 && lag.worse(m.Worst) {
			m.Worst = lag
		}
	}
	m.Records += sum.Records
	m.Seconds = max(m.Seconds, sum.Seconds)
	m.AtLeast = m.AtLeast || sum.AtLeast
	m.Topics = append(m.Topics, sum)
	return firstErr
}

// positionOf returns the offset of the next record that the group will read,
// and how many records before it were deleted unread.
//
// Without a commit nothing counts as lost: the group had not begun.
func positionOf(committed int64, hasCommit bool, initial string, o Offsets) (position, lost int64) {
	switch {
	case hasCommit:
		return max(committed, o.Start), max(0, o.Start-committed)
	case initial == Latest:
		return o.End, 0
	default:
		return o.Start, 0
	}
}

func (p PartitionLag) worse(than PartitionLag) bool {
	return cmp.Or(cmp.Compare(p.Seconds, than.Seconds), cmp.Compare(p.Records, than.Records)) > 0
}
