package lag

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// DefaultInterval is the time between two cycles.
const DefaultInterval = 15 * time.Second

// cycleTimeout ends a cycle that a cluster keeps waiting. What was not read by
// then is in the reports as an error.
const cycleTimeout = time.Minute

// Collector measures the declared groups of one cluster, all of them in one
// cycle per interval, and keeps the latest reports. Its methods are safe for
// concurrent use.
type Collector struct {
	source   Source
	interval time.Duration
	onChange func(key string)
	wake     chan struct{} // holds one: a spec has changed

	mu        sync.Mutex
	groups    map[string]*group
	lastCycle Cycle
}

// group is a declared group. A spec that asks for another measurement makes
// another group, so that a cycle under way does not report on the wrong one.
type group struct {
	spec Spec
	// report is zero until the first cycle, which Checked tells.
	report Report
	// told is the verdict that onChange was last called for, wasTold if it was.
	told    Verdict
	wasTold bool
}

// Cycle is how a cycle went.
type Cycle struct {
	// Started is zero before the first cycle.
	Started time.Time
	// Took is the duration. Cycles never overlap: where it exceeds the
	// interval, cycles are left out.
	Took time.Duration
}

// New returns a Collector that measures while Run runs. onChange is called,
// from one goroutine, with the key of a group whose Verdict has become known or
// has changed: by a cycle or because Spec.For has passed. It must not block; it
// may call the Collector's methods.
func New(source Source, interval time.Duration, onChange func(key string)) *Collector {
	return &Collector{
		source:   source,
		interval: interval,
		onChange: onChange,
		wake:     make(chan struct{}, 1),
		groups:   make(map[string]*group),
	}
}

// Set declares a group under a key of the caller's choice, or changes its spec.
// A group that is new or must be measured anew is measured soon, and has no
// report until then.
func (c *Collector) Set(key string, spec Spec) {
	spec.Topics = slices.Clone(spec.Topics)
	slices.Sort(spec.Topics)
	spec.Topics = slices.Compact(spec.Topics)

	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.groups[key]
	switch {
	case ok && have.spec.sameMeasure(spec) && have.spec.For == spec.For:
		return
	case ok && have.spec.sameMeasure(spec):
		have.spec.For = spec.For
		have.report.Spec.For = spec.For
	default:
		c.groups[key] = &group{spec: spec}
	}
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
}

// Remove forgets a group and its report.
func (c *Collector) Remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, key)
}

// Latest returns the report of a group, or false until the first cycle has
// looked at it.
func (c *Collector) Latest(key string) (Report, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g, ok := c.groups[key]; ok && !g.report.Checked.IsZero() {
		return g.report, true
	}
	return Report{}, false
}

// Reports returns the reports of all groups that have one, by key.
func (c *Collector) Reports() map[string]Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	reports := make(map[string]Report, len(c.groups))
	for key, g := range c.groups {
		if !g.report.Checked.IsZero() {
			reports[key] = g.report
		}
	}
	return reports
}

// LastCycle returns how the latest finished cycle went.
func (c *Collector) LastCycle() Cycle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastCycle
}

// Run runs cycles until ctx ends. It is called once.
func (c *Collector) Run(ctx context.Context) {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		var due <-chan time.Time
		if wait, ok := c.tell(time.Now()); ok {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-ticker.C:
			c.cycle(ctx)
		case <-c.wake:
			// The groups of an operator that starts share a cycle.
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(time.Second, c.interval/10)):
			}
			c.cycle(ctx)
		}
	}
}

// cycle measures all groups once.
func (c *Collector) cycle(ctx context.Context) {
	groups, specs := c.declared()
	if len(groups) == 0 {
		return
	}
	started := time.Now()
	bounded, cancel := context.WithTimeout(ctx, cycleTimeout)
	defer cancel()
	seen := c.observe(bounded, specs)
	if ctx.Err() != nil {
		return // what is missing is not the cluster's fault
	}
	reports := make(map[string]Report, len(groups))
	for key := range groups {
		reports[key] = seen.measure(specs[key])
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	for key, g := range groups {
		if c.groups[key] == g {
			report := reports[key].follow(g.report)
			report.Spec.For = g.spec.For // it may have changed meanwhile
			g.report = report
		}
	}
	c.lastCycle = Cycle{Started: started, Took: time.Since(started)}
}

// declared returns what the cycle that begins must measure.
func (c *Collector) declared() (map[string]*group, map[string]Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.wake: // its change is in this cycle
	default:
	}
	specs := make(map[string]Spec, len(c.groups))
	for key, g := range c.groups {
		specs[key] = g.spec
	}
	return maps.Clone(c.groups), specs
}

// observe asks for commits before offsets, so that a group which reads
// meanwhile never seems to be ahead of the log.
func (c *Collector) observe(ctx context.Context, specs map[string]Spec) observation {
	ids := make([]string, 0, len(specs))
	for _, spec := range specs {
		ids = append(ids, spec.Group)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)

	o := observation{ladders: ladders(specs)}
	o.groups = c.source.DescribeGroups(ctx, ids)
	o.at = time.Now().Truncate(time.Millisecond) // as Kafka counts
	o.commits = c.source.CommittedOffsets(ctx, ids)
	at := make(map[string][]time.Time, len(o.ladders))
	for topic, rungs := range o.ladders {
		at[topic] = rungs.before(o.at)
	}
	o.topics = c.source.PartitionOffsets(ctx, at)
	return o
}

// tell calls onChange for the groups whose verdict is not the one that was
// told, and returns in what time the next verdict is due without a cycle.
func (c *Collector) tell(now time.Time) (wait time.Duration, ok bool) {
	var changed []string
	c.mu.Lock()
	for key, g := range c.groups {
		if g.report.Checked.IsZero() {
			continue
		}
		verdict := g.report.Verdict(now)
		if !g.wasTold || verdict != g.told {
			g.wasTold, g.told = true, verdict
			changed = append(changed, key)
		}
		if verdict == KeepsUp && g.report.Over() {
			if left := g.report.lagsAt().Sub(now); !ok || left < wait {
				wait, ok = left, true
			}
		}
	}
	c.mu.Unlock()
	slices.Sort(changed)
	for _, key := range changed {
		c.onChange(key)
	}
	return wait, ok
}
