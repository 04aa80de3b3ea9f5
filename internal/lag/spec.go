package lag

import (
	"slices"
	"time"
)

// How a partition without a commit counts.
const (
	// Earliest counts everything as unread. It is the default.
	Earliest = "Earliest"
	// Latest counts nothing as unread.
	Latest = "Latest"
)

// Spec is what a group reads and how far behind it may be.
type Spec struct {
	// Group is the Kafka group ID.
	Group string
	// Topics are the names of the Kafka topics that the group reads.
	Topics []string
	// InitialOffset is Earliest or Latest.
	InitialOffset string
	// MaxTime is the greatest age of an unread record; zero means no objective.
	MaxTime time.Duration
	// MaxRecords is the greatest number of unread records, over all partitions
	// together; zero means no objective.
	MaxRecords int64
	// For is how long an objective must be missed before the group is Lagging.
	For time.Duration
}

// sameMeasure tells whether both specs ask for the same measurement, which
// For does not change.
func (s Spec) sameMeasure(other Spec) bool {
	return s.Group == other.Group &&
		slices.Equal(s.Topics, other.Topics) &&
		s.InitialOffset == other.InitialOffset &&
		s.MaxTime == other.MaxTime &&
		s.MaxRecords == other.MaxRecords
}
