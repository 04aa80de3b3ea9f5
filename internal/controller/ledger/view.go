package ledger

import (
	"time"

	"github.com/weir-dev/weir/internal/kafka"
)

// brokerDelay is how long a broker may go on showing what was before a change
// that the cluster has acknowledged.
const brokerDelay = 2 * time.Second

// bindingsView is what a cluster's ACL bindings were when somebody last asked,
// and what Weir has changed since, so that a pass over a resource whose grants
// are in place asks nothing. The sweep brings it up to date. Not safe for
// concurrent use: the ledger's lock guards it.
type bindingsView struct {
	connection *kafka.Cluster
	asked      time.Time
	doubted    time.Time
	have       bindings
	// recent are Weir's own changes, which count more than what a broker shows
	// until it has caught up.
	recent map[kafka.Binding]recentChange
}

type recentChange struct {
	at      time.Time
	present bool
}

// of says whether this is a view of what the connection leads to.
func (v *bindingsView) of(connection *kafka.Cluster) bool {
	return v.connection == connection && v.asked.After(v.doubted)
}

func (v *bindingsView) older(age time.Duration) bool { return time.Since(v.asked) > age }

// show replaces the view by what a broker answered to a question of the time asked.
func (v *bindingsView) show(connection *kafka.Cluster, asked time.Time, have map[kafka.Binding]struct{}) {
	if v.connection != connection {
		v.recent = nil // it may be another Kafka
	}
	v.connection, v.asked, v.have = connection, asked, have
	for binding, change := range v.recent {
		switch {
		case change.at.Add(brokerDelay).Before(asked):
			delete(v.recent, binding)
		case change.present:
			v.have[binding] = struct{}{}
		default:
			delete(v.have, binding)
		}
	}
}

// change enters what Weir has added and removed.
func (v *bindingsView) change(added, removed []kafka.Binding) {
	if v.recent == nil {
		v.recent = map[kafka.Binding]recentChange{}
	}
	now := time.Now()
	for _, binding := range added {
		v.have[binding] = struct{}{}
		v.recent[binding] = recentChange{at: now, present: true}
	}
	for _, binding := range removed {
		delete(v.have, binding)
		v.recent[binding] = recentChange{at: now}
	}
}

// doubt makes answers to the questions so far worth nothing: changes of these
// bindings failed, and nobody knows how far they came.
func (v *bindingsView) doubt(changes ...kafka.Binding) {
	v.doubted = time.Now()
	for _, binding := range changes {
		delete(v.recent, binding)
	}
}
