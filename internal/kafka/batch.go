package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// batchWindow is how long the first call of a batch waits for company.
const batchWindow = 5 * time.Millisecond

// requestItems is the most topics or bindings in one request, so that neither
// side holds a response of many megabytes.
const requestItems = 1000

// coalescer makes one call of run out of the calls of do that start within
// batchWindow of the first. Batches run side by side.
//
// run gets the inputs in the order of their calls and returns one outcome for
// each, in that order. It is not cancelled when a caller gives up, since it
// works for the others too; the client's own limits end it.
type coalescer[In, Out any] struct {
	run func(context.Context, []In) []outcome[Out]

	mu      sync.Mutex
	waiting []waiter[In, Out]
	closed  bool
	batches sync.WaitGroup
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

// join adds w to the batch that is gathering, and starts one if none is. It
// reports false after close.
func (c *coalescer[In, Out]) join(w waiter[In, Out]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.waiting = append(c.waiting, w)
	if len(c.waiting) == 1 {
		c.batches.Go(c.batch)
	}
	return true
}

func (c *coalescer[In, Out]) batch() {
	time.Sleep(batchWindow)
	var (
		callers []waiter[In, Out]
		ins     []In
	)
	for _, w := range c.take() {
		if w.ctx.Err() == nil {
			callers = append(callers, w)
			ins = append(ins, w.in)
		}
	}
	if len(ins) == 0 {
		return
	}
	for i, out := range c.run(context.Background(), ins) {
		callers[i].reply <- out
	}
}

func (c *coalescer[In, Out]) take() []waiter[In, Out] {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.waiting
	c.waiting = nil
	return taken
}

// close refuses further calls and waits for the batches under way.
func (c *coalescer[In, Out]) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.batches.Wait()
}
