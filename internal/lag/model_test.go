package lag

import (
	"math/rand/v2"
	"slices"
	"time"
)

// partitionLog is a partition as a list of timestamps, against which the
// arithmetic on offsets is checked by looking at every record.
type partitionLog struct {
	start   int64
	records []time.Time // the first has offset start
}

func (l partitionLog) end() int64 { return l.start + int64(len(l.records)) }

// offsets answers as the brokers do.
func (l partitionLog) offsets(at []time.Time) Offsets {
	o := Offsets{Start: l.start, End: l.end(), After: make([]int64, len(at))}
	for i, t := range at {
		o.After[i] = l.end()
		if found := slices.IndexFunc(l.records, func(r time.Time) bool { return !r.Before(t) }); found >= 0 {
			o.After[i] = l.start + int64(found)
		}
	}
	return o
}

// unread returns the timestamps of the records from position on.
func (l partitionLog) unread(position int64) []time.Time {
	return l.records[min(max(0, position-l.start), int64(len(l.records))):]
}

// randomLog makes a log whose youngest record is at most as young as now, with
// bursts, pauses and equal timestamps; in disorder if asked.
func randomLog(r *rand.Rand, now time.Time, disorder bool) partitionLog {
	l := partitionLog{start: r.Int64N(50)}
	t := now
	for range r.IntN(40) {
		if r.IntN(3) > 0 {
			t = t.Add(-time.Duration(r.ExpFloat64() * float64(20*time.Second)).Truncate(time.Millisecond))
		}
		l.records = append(l.records, t)
	}
	slices.Reverse(l.records)
	if disorder {
		r.Shuffle(len(l.records), func(i, j int) { l.records[i], l.records[j] = l.records[j], l.records[i] })
	}
	return l
}
