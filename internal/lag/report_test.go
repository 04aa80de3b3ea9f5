package lag

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	unreachable := errors.New("unreachable")
	met := Report{Spec: Spec{For: time.Minute}, Checked: now, Measurement: Measurement{At: now}}
	with := func(change func(*Report)) Report { r := met; change(&r); return r }
	over := func(since time.Duration) Report {
		return with(func(r *Report) { r.OverTime, r.OverSince = true, now.Add(-since) })
	}
	for name, test := range map[string]struct {
		report Report
		want   Verdict
	}{
		"never looked":                         {Report{}, Unknown},
		"never measured":                       {Report{Checked: now, Err: unreachable}, Unknown},
		"objectives met":                       {met, KeepsUp},
		"missed for less than For":             {over(time.Minute - 1), KeepsUp},
		"missed for as long as For":            {over(time.Minute), Lagging},
		"records missed":                       {with(func(r *Report) { r.OverRecords, r.OverSince = true, now.Add(-time.Hour) }), Lagging},
		"For is zero":                          {with(func(r *Report) { r.OverTime, r.OverSince, r.Spec.For = true, now, 0 }), Lagging},
		"a part unknown, the rest met":         {with(func(r *Report) { r.Err = unreachable }), Unknown},
		"a part unknown, the rest over":        {with(func(r *Report) { r.OverTime, r.OverSince, r.Err = true, now.Add(-time.Hour), unreachable }), Lagging},
		"an older measurement, over":           {with(func(r *Report) { *r = over(time.Hour); r.Checked = now.Add(1); r.Err = unreachable }), Unknown},
		"an older measurement, objectives met": {with(func(r *Report) { r.Checked = now.Add(1); r.Err = unreachable }), Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.report.Verdict(now); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestFollow runs cycles one after another, ten seconds apart.
func TestFollow(t *testing.T) {
	t.Parallel()
	at := func(cycle int) time.Time { return now.Add(time.Duration(cycle) * 10 * time.Second) }
	const (
		met     = "met"
		over    = "over"
		failed  = "failed"  // nothing measured
		partial = "partial" // the part that was measured is met
	)
	for name, test := range map[string]struct {
		cycles    []string
		overSince int // the cycle, −1 for none
		measured  int // the cycle
	}{
		"met":                                     {[]string{met, met}, -1, 1},
		"over":                                    {[]string{met, over}, 1, 1},
		"over and still over":                     {[]string{met, over, over, over}, 1, 3},
		"over and met":                            {[]string{over, met}, -1, 1},
		"over, met and over again":                {[]string{over, met, over}, 2, 2},
		"a failed cycle keeps values and since":   {[]string{over, failed}, 0, 0},
		"over before and after a failed cycle":    {[]string{over, failed, over}, 0, 2},
		"met after a failed cycle":                {[]string{over, failed, met}, -1, 2},
		"what was over may be in the part unread": {[]string{over, partial}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var last Report
			for i, outcome := range test.cycles {
				r := Report{Checked: at(i)}
				if outcome != failed {
					r.At, r.OverTime, r.Records = at(i), outcome == over, int64(i)
				}
				if outcome == failed || outcome == partial {
					r.Err = errors.New(outcome)
				}
				last = r.follow(last)
			}
			var since time.Time
			if test.overSince >= 0 {
				since = at(test.overSince)
			}
			if diff := cmp.Diff(since, last.OverSince); diff != "" {
				t.Errorf("over since (-want +got):\n%s", diff)
			}
			if !last.At.Equal(at(test.measured)) || last.Records != int64(test.measured) {
				t.Errorf("values are of %v, want those of cycle %d", last.At, test.measured)
			}
		})
	}
}
