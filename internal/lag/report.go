package lag

import "time"

// Report is what is known of a group. It is a value to read: its slices are
// shared.
type Report struct {
	// Spec is what was measured.
	Spec Spec
	// State, Type and Members are as in Group; State is empty where the group
	// does not exist or was never described.
	State, Type string
	Members     int

	// Measurement is the latest there is: see Fresh.
	Measurement
	// OverSince is when the first cycle saw an objective missed that has been
	// missed since; zero while all are met. A cycle that could not tell
	// changes nothing in it.
	OverSince time.Time

	// Checked is when the latest cycle looked.
	Checked time.Time
	// Err is the first thing that kept the latest cycle from knowing
	// everything, as the Source said it. A partition that could not be read is
	// not in the Measurement.
	Err error
}

// Measurement is the lag of a group at one time.
type Measurement struct {
	// At is when it was measured; zero if it never was.
	At time.Time
	// Records is the number of unread records.
	Records int64
	// Seconds is the age of the oldest unread record, estimated between exact
	// bounds; zero where all is read. Where AtLeast is true it is only known
	// to be greater.
	Seconds float64
	AtLeast bool
	// Lost is the number of records that were deleted unread: those between
	// the commits and the starts of the logs.
	Lost int64
	// OverTime and OverRecords tell which objectives are missed.
	OverTime, OverRecords bool

	// Topics are in the order of the Spec.
	Topics []TopicLag
	// Partitions are in the order of Topics and their numbers.
	Partitions []PartitionLag
	// Worst is the partition that is furthest behind in time, then in records;
	// its Topic is empty where all is read.
	Worst PartitionLag
}

// TopicLag is the part of a topic; the fields are as in Measurement.
type TopicLag struct {
	Topic   string
	Records int64
	Seconds float64
	AtLeast bool
}

// PartitionLag is the part of a partition; the fields are as in Measurement.
type PartitionLag struct {
	Topic     string
	Partition int32
	Records   int64
	Seconds   float64
	AtLeast   bool
	Lost      int64
	OverTime  bool
}

// Verdict says whether a group keeps up.
type Verdict uint8

const (
	// Unknown: the latest cycle could not tell.
	Unknown Verdict = iota
	// KeepsUp: every objective is met, or has not been missed for long enough.
	KeepsUp
	// Lagging: an objective has been missed for Spec.For.
	Lagging
)

// String returns the verdict's name.
func (v Verdict) String() string {
	return [...]string{"Unknown", "KeepsUp", "Lagging"}[v]
}

// Fresh tells whether the Measurement is of the latest cycle; otherwise it is
// what was known at its time, and Err says why there is no later one.
func (r Report) Fresh() bool { return !r.At.IsZero() && r.At.Equal(r.Checked) }

// Over tells whether an objective is missed by the Measurement.
func (r Report) Over() bool { return r.OverTime || r.OverRecords }

// Verdict judges the report at a time that is not before Checked. What could
// not be read makes it Unknown, unless the rest is enough to miss an objective.
func (r Report) Verdict(now time.Time) Verdict {
	switch {
	case !r.Fresh():
		return Unknown
	case r.Over() && !now.Before(r.lagsAt()):
		return Lagging
	case r.Over() || r.Err == nil:
		return KeepsUp
	default:
		return Unknown
	}
}

// lagsAt is when a group that is over becomes Lagging.
func (r Report) lagsAt() time.Time { return r.OverSince.Add(r.Spec.For) }

// follow returns the report with what it takes over from the one before.
func (r Report) follow(previous Report) Report {
	if r.At.IsZero() {
		r.Measurement = previous.Measurement
		r.OverSince = previous.OverSince
		return r
	}
	switch {
	case r.Over() && previous.OverSince.IsZero():
		r.OverSince = r.At
	case r.Over() || r.Err != nil:
		r.OverSince = previous.OverSince
	}
	return r
}
