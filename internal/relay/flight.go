package relay

import (
	"context"
	"sync"
	"time"
)

// outcome is what became of one record. The zero value means "try again", so
// that forgetting to judge a record never counts it as published (law 2).
type outcome struct {
	published bool
	err       error // nil while nobody has said anything
}

// flight is a run of items between handing over and the last outcome. Outcomes
// arrive from the producer's goroutines, in any order.
type flight struct {
	items   []Item
	start   time.Time
	callOff context.CancelFunc // gives up what is not written yet
	landed  context.Context    // ends when every record has an outcome

	mu       sync.Mutex
	land     context.CancelFunc
	outcomes []outcome
	missing  int
	progress time.Time
}

// newFlight is a flight that ctx, and its callOff, give up.
func newFlight(ctx context.Context, items []Item) (*flight, context.Context) {
	flying, callOff := context.WithCancel(ctx)
	landed, land := context.WithCancel(context.Background())
	now := time.Now()
	return &flight{
		items: items, start: now, callOff: callOff, landed: landed, land: land,
		outcomes: make([]outcome, len(items)), missing: len(items), progress: now,
	}, flying
}

// judge takes the outcome of item i.
func (f *flight) judge(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes[i] = outcome{err == nil, err}
	if err == nil {
		f.progress = time.Now()
	}
	if f.missing--; f.missing == 0 {
		f.land()
	}
}

// acknowledged are the numbers of the items whose records were.
func (f *flight) acknowledged() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	numbers := make([]int64, 0, len(f.items))
	for i, o := range f.outcomes {
		if o.published {
			numbers = append(numbers, f.items[i].Number)
		}
	}
	return numbers
}

// failure is an item whose record was not acknowledged, and why.
type failure struct {
	item Item
	err  error
}

// failures are the items of a flight that has landed which were not acknowledged.
func (f *flight) failures() []failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	var failures []failure
	for i, o := range f.outcomes {
		if !o.published {
			failures = append(failures, failure{f.items[i], o.err})
		}
	}
	return failures
}

// waitsFor is the first item without an acknowledgement, and for how long there
// has been none for any.
func (f *flight) waitsFor() (item Item, idle time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.outcomes {
		if !o.published {
			return f.items[i], time.Since(f.progress)
		}
	}
	return Item{}, 0
}
