package relay

import (
	"context"
	"sync"
	"time"
)

// outcome is the verdict on one record. The zero value means "try again", so
// that forgetting to judge a record never counts it as published (law 2).
type outcome uint8

const (
	tryAgain outcome = iota
	published
)

// flight is a run of records between produce and acknowledgement. Verdicts
// arrive from the producer's goroutines, in any order.
type flight struct {
	callOff context.CancelFunc // gives up what is not written yet
	done    chan struct{}      // closed when every record is judged

	mu       sync.Mutex
	outcomes []outcome
	unjudged int
	failed   int   // the record that failed first in time: the others were called off because of it
	err      error // its error, nil if none failed
	progress time.Time
}

func newFlight(n int, callOff context.CancelFunc) *flight {
	return &flight{
		callOff:  callOff,
		done:     make(chan struct{}),
		outcomes: make([]outcome, n),
		unjudged: n,
		progress: time.Now(),
	}
}

// judge takes the verdict on record i. The first failure calls off the rest:
// a later record must not be published past one that failed (law 3).
func (f *flight) judge(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.outcomes[i] = published
		f.progress = time.Now()
	} else {
		f.callOff()
		if f.err == nil {
			f.failed, f.err = i, err
		}
	}
	if f.unjudged--; f.unjudged == 0 {
		close(f.done)
	}
}

// acknowledged returns the length of the acknowledged prefix: what may be
// settled. Records behind a gap are published again (law 3).
func (f *flight) acknowledged() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.outcomes {
		if o != published {
			return i
		}
	}
	return len(f.outcomes)
}

// failure returns the first failure in time and its record's index.
func (f *flight) failure() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed, f.err
}

// idle returns the time since the last acknowledgement.
func (f *flight) idle() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.progress)
}
