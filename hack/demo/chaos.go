package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/weir-dev/weir/test/env/kubelet"
)

// chaos kills the manager and the workers at random moments of the story. The
// kubelet starts them again.
type chaos struct {
	teller  *teller
	kubelet *kubelet.Kubelet
	random  *rand.Rand
	seed    uint64
	kills   int

	cancel context.CancelFunc // nil before start
	done   chan struct{}
	killed map[string]int // by what it is; read after done
}

func newChaos(t *teller, k *kubelet.Kubelet, kills int, seed uint64) *chaos {
	return &chaos{
		teller: t, kubelet: k, random: rand.New(rand.NewPCG(seed, seed)), seed: seed, kills: kills,
		done: make(chan struct{}), killed: map[string]int{},
	}
}

// victims are the pods to kill, by the beginning of namespace/name.
var victims = []string{"weir-system/weir-manager-", "weir-system/weir-retry-", "shop/weir-outbox-"}

// between are the shortest and the longest time between two kills.
const betweenLeast, betweenMost = time.Second, 9 * time.Second

func (c *chaos) start(ctx context.Context) {
	c.teller.say("From now on %d processes die by kill -9 at random moments. To have the same again: -chaos %d -seed %d",
		c.kills, c.kills, c.seed)
	ctx, c.cancel = context.WithCancel(ctx)
	go func() {
		defer close(c.done)
		for range c.kills {
			// Drawn before anything is looked at, so that a seed says what is killed.
			pause := betweenLeast + time.Duration(c.random.Int64N(int64(betweenMost-betweenLeast)))
			victim := victims[c.random.IntN(len(victims))]
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			c.kill(ctx, victim)
		}
	}()
}

// kill kills a victim as soon as it runs.
func (c *chaos) kill(ctx context.Context, victim string) {
	for {
		for _, pod := range c.kubelet.Running() {
			if name := pod.Namespace + "/" + pod.Name; strings.HasPrefix(name, victim) && c.kubelet.Kill(pod.Namespace, pod.Name) == nil {
				c.teller.lines(red, "", "   ", fmt.Sprintf("✝ kill -9 %d: %s", pod.PID, name))
				c.killed[strings.Trim(victim, "-")]++
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wait returns when everybody has been killed who was to be.
func (c *chaos) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// stop ends the killing, if it has begun.
func (c *chaos) stop() {
	if c.cancel != nil {
		c.cancel()
		<-c.done
	}
}

// summary says who was killed how often. Call it after wait.
func (c *chaos) summary() string {
	var words []string
	for _, victim := range victims {
		if name := strings.Trim(victim, "-"); c.killed[name] > 0 {
			words = append(words, fmt.Sprintf("%s %d times", name, c.killed[name]))
		}
	}
	return "killed: " + strings.Join(words, ", ")
}
