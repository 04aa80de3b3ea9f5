package outbox

import (
	"math"
	"sync/atomic"

	"github.com/weir-dev/weir/internal/relay/config"
)

// state is what the operator reads.
func (w *worker) state() config.OutboxState {
	phase, problem := w.health.State()
	published, last := w.metrics.Published()
	return config.OutboxState{
		Name:                 w.outbox.Name,
		Phase:                phase,
		Problem:              problem,
		PendingRows:          int64(w.gauges.pendingRows.get()),
		OldestPendingSeconds: w.gauges.oldestSeconds.get(),
		PublishedRows:        published,
		LastPublished:        last,
	}
}

// gauge is a number that one goroutine sets and others read: Prometheus' own
// cannot be read back for the state.
type gauge struct{ bits atomic.Uint64 }

func (g *gauge) set(v float64) { g.bits.Store(math.Float64bits(v)) }
func (g *gauge) get() float64  { return math.Float64frombits(g.bits.Load()) }
