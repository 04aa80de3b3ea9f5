package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// requestItems is the most topics or bindings in one request, so that neither
// side holds a response of many megabytes.
const requestItems = 1000

// batchTimeout bounds one batch, so that a broker which accepts requests and
// answers none is told of soon. Kafka gets less time for what it does itself.
const batchTimeout = 20 * time.Second

const (
	// gatherPause is how long a batch waits for company that follows upon another
	// one, and stormPause how soon after it that is.
	gatherPause = 100 * time.Millisecond
	stormPause  = 5 * time.Millisecond
)

// coalescer makes one call of run out of the calls of do that arrive while the
// previous call of run is under way, and for gatherPause after it: a single caller
// waits for nobody, and the busier it is, the larger its batches are.
//
// run gets the inputs in the order of their calls and returns one outcome for
// each, in that order. It is not cancelled when a caller gives up, since it
// works for the others too; batchTimeout ends it.
type coalescer[In, Out any] struct {
	run func(context.Context, []In) []outcome[Out]

	mu      sync.Mutex
	waiting []waiter[In, Out]
	running bool
	closed  bool
	batches sync.WaitGroup
	ended   time.Time // when the last batch did; for work alone
}

// outcome is what became of one input.
type outcome[Out any] struct {
	value Out
	err   error
}

type waiter[In, Out any] struct {
	ctx   context.Context
	in    In
	reply chan outcome[Out] // buffered: nobody may be listening any more
}

// do returns the outcome for in. When ctx ends first it returns ctx's error,
// and in is left out if its batch has not started; otherwise it may still be
// carried out.
func (c *coalescer[In, Out]) do(ctx context.Context, in In) (Out, error) {
	w := waiter[In, Out]{ctx: ctx, in: in, reply: make(chan outcome[Out], 1)}
	if !c.join(w) {
		var none Out
		return none, kgo.ErrClientClosed
	}
	select {
	case out := <-w.reply:
		return out.value, out.err
	case <-ctx.Done():
		var none Out
		return none, ctx.Err()
	}
}

// join adds w to the next batch, and starts the batches where none is under
// way. It reports false after close.
func (c *coalescer[In, Out]) join(w waiter[In, Out]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.waiting = append(c.waiting, w)
	if !c.running {
		c.running = true
		c.batches.Go(c.work)
	}
	return true
}

// work runs batches until nobody waits. Where one follows upon the other, it waits
// for company: each costs the brokers as much as what it names.
func (c *coalescer[In, Out]) work() {
	if time.Since(c.ended) < stormPause {
		time.Sleep(gatherPause)
	}
	for callers := c.take(); len(callers) > 0; callers = c.take() {
		c.batch(callers)
		c.ended = time.Now()
		if c.waits() {
			time.Sleep(gatherPause)
		}
	}
}

// waits says whether somebody waits for the next batch.
func (c *coalescer[In, Out]) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0
}

// take returns those who wait, and marks the work as ended where there are none.
func (c *coalescer[In, Out]) take() []waiter[In, Out] {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.waiting
	c.waiting = nil
	c.running = len(taken) > 0
	return taken
}

func (c *coalescer[In, Out]) batch(waiting []waiter[In, Out]) {
	var (
		callers []waiter[In, Out]
		ins     []In
	)
	for _, w := range waiting {
		if w.ctx.Err() == nil {
			callers = append(callers, w)
			ins = append(ins, w.in)
		}
	}
	if len(ins) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	for i, out := range c.run(ctx, ins) {
		callers[i].reply <- out
	}
}

// close refuses further calls and waits for the batches under way.
func (c *coalescer[In, Out]) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.batches.Wait()
}
