package retry

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/test/env"
)

// BenchmarkSteps measures the records that pass both steps, from failed to
// wait and from wait to retry, with the broker on the same machine. The
// target of each step is 10,000 records/s on two cores.
func BenchmarkSteps(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		p := newPlatform(b)
		group := p.group([]time.Duration{time.Millisecond})
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{
				Topic: deadletter.Failed(group), Key: fmt.Appendf(nil, "key-%d", i%1000), Value: make([]byte, 200),
				Headers: failedBy("Timeout", "no answer"),
			}
		}
		p.produce(records...)
		b.StartTimer()
		w, stop := p.active()
		env.Until(b, "all to come back", func() bool { return w.state().Moved[toRetry] == n })
		b.StopTimer()
		stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
}
