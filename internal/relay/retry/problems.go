package retry

import (
	"maps"
	"slices"
	"sync"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

// problems gathers what troubles the parts of the worker, or those of one group,
// into one health, which has room for one problem: the first by the name of its
// part. It is safe for concurrent use.
type problems struct {
	health  *relay.Health
	metrics *metrics

	mu     sync.Mutex
	byPart map[string]*relay.Problem
}

// The parts of a worker that may have a problem, in the order of how much they
// explain.
const (
	partFile    = "!1 file"
	partSession = "!2 session"
	partCluster = "!3 cluster"
	partGroup   = "!4 group"
	partCommit  = "!5 commit"
)

// partTopics is the part of a group that may have a problem besides its lanes,
// before whose names it sorts.
const partTopics = "!1 topics"

func newProblems(health *relay.Health, metrics *metrics) *problems {
	return &problems{health: health, metrics: metrics, byPart: map[string]*relay.Problem{}}
}

// report notes what troubles a part; nil means nothing (any more). It returns
// whether that is news, for a log that says a thing once.
func (p *problems) report(part string, problem *relay.Problem) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, had := p.byPart[part]
	if problem == nil {
		if !had {
			return false
		}
		delete(p.byPart, part)
		p.tell()
		return true
	}
	p.byPart[part] = problem
	p.metrics.failures.WithLabelValues(problem.Reason).Inc()
	p.tell()
	return !had || known.Reason != problem.Reason || known.Message != problem.Message
}

// enter begins a phase; problems that lasted until now still do.
func (p *problems) enter(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health.Enter(phase)
	p.tell()
}

func (p *problems) tell() {
	if len(p.byPart) == 0 {
		p.health.Report(nil)
		return
	}
	p.health.Report(p.byPart[slices.Min(slices.Collect(maps.Keys(p.byPart)))])
}

// groupProblems are the problems of each group, by group ID. Safe for concurrent
// use.
type groupProblems struct {
	metrics *metrics

	mu      sync.Mutex
	byGroup map[string]*problems
}

// of are the problems of a group.
func (g *groupProblems) of(group string) *problems {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.byGroup[group]
	if found == nil {
		found = newProblems(relay.NewHealth(), g.metrics)
		g.byGroup[group] = found
	}
	return found
}

// keep forgets all groups but these.
func (g *groupProblems) keep(groups []config.RetryGroup) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.byGroup, func(id string, _ *problems) bool {
		return !slices.ContainsFunc(groups, func(group config.RetryGroup) bool { return group.Group == id })
	})
}
