// Command topics measures how fast the manager, as a process of its own, makes
// topics follow Topic resources, beside a bare loop that does the least that
// anybody has to do: post the objects, one CreateTopics per thousand, one status
// patch each. It prints one JSON object a figure on standard output, and what it
// is doing on standard error. See `make bench-topics`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// figure is one line of the result.
type figure struct {
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	// Peer is what the figure is compared with, and Ratio value / peer.
	Peer  float64 `json:"peer,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
}

func tell(name string, value float64, unit string, peer float64) {
	line := figure{Figure: name, Value: round(value), Unit: unit, Peer: round(peer)}
	if peer > 0 {
		line.Ratio = round(value / peer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		say("%v", err)
	}
}

func round(value float64) float64 { return float64(int64(value*1000+0.5)) / 1000 }

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

func main() {
	n := flag.Int("n", 1000, "topics")
	partitions := flag.Int("partitions", 3, "partitions of each topic")
	scale := flag.Bool("scale", false, "measure what it takes to have many topics, instead of how fast they come")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *n, *partitions, *scale); err != nil {
		say("%v", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n, partitions int, scale bool) (err error) {
	p := &platform{}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.start(ctx); err != nil {
		return err
	}

	if scale {
		return p.scale(ctx, n)
	}
	say("the bare loop: %d topics of %d partitions", n, partitions)
	bare, err := p.measureBare(ctx, n, partitions)
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	tell("bare loop: post, CreateTopics per thousand, one status patch", bare.created.Seconds(), "s", 0)
	tell("bare loop: delete, DeleteTopics per thousand, one patch that takes the finalizer off", bare.deleted.Seconds(), "s", 0)

	if err := p.startManager(ctx); err != nil {
		return err
	}
	return p.measure(ctx, n, partitions, bare)
}

// measure runs every row of the table once.
func (p *platform) measure(ctx context.Context, n, partitions int, bare bareLoop) error {
	for _, grants := range []int{0, 3} {
		title := fmt.Sprintf("%d topics x %d partitions, %d grants each", n, partitions, grants)
		kept := topicSet{namespace: fmt.Sprintf("bench-kept-%d", grants), n: n, partitions: partitions, grants: grants}
		if err := p.measureCreated(ctx, title, kept, bare); err != nil {
			return err
		}
		if grants == 0 {
			say("%s: one key changed", title)
			patches, ready, err := p.changed(ctx, kept)
			if err != nil {
				return err
			}
			tell(title+": one key changed and Ready (peer: the patches)", ready.Seconds(), "s", patches.Seconds())
			if err := p.single(ctx, kept); err != nil {
				return err
			}
		}
		deleted := kept
		deleted.namespace, deleted.delete = fmt.Sprintf("bench-deleted-%d", grants), true
		title += ", deletionPolicy Delete"
		if err := p.measureCreated(ctx, title, deleted, bare); err != nil {
			return err
		}
		say("%s: deleted", title)
		before, err := p.counts(ctx)
		if err != nil {
			return err
		}
		took, err := p.deleted(ctx, deleted)
		if err != nil {
			return err
		}
		tell(title+": deleted with their topics (peer: the bare loop)", took.Seconds(), "s", bare.deleted.Seconds())
		after, err := p.counts(ctx)
		if err != nil {
			return err
		}
		sayRequests(before, after)
	}
	return nil
}

// measureCreated creates the topics of a set and tells what that took.
func (p *platform) measureCreated(ctx context.Context, title string, set topicSet, bare bareLoop) error {
	if err := p.namespace(ctx, set.namespace); err != nil {
		return err
	}
	say("%s: created", title)
	before, err := p.counts(ctx)
	if err != nil {
		return err
	}
	took, err := p.created(ctx, set)
	if err != nil {
		return err
	}
	after, err := p.counts(ctx)
	if err != nil {
		return err
	}
	n := float64(set.n)
	tell(title+": created and Ready", took.Seconds(), "s", bare.created.Seconds())
	tell(title+": API writes per topic created", (after.writes-before.writes-n)/n, "writes", 0)
	tell(title+": events per topic created", (after.events-before.events)/n, "events", 0)
	if after.kafka > 0 {
		tell(title+": Kafka requests per 1,000 created", (after.kafka-before.kafka)*1000/n, "requests", 0)
	}
	sayRequests(before, after)
	return nil
}

// single creates one topic after another on an idle operator.
func (p *platform) single(ctx context.Context, set topicSet) error {
	const times = 50
	say("single topics on an idle operator")
	var all []float64
	for i := range times {
		one := topicSet{namespace: set.namespace, prefix: fmt.Sprintf("single-%d", i), n: 1, partitions: set.partitions}
		took, err := p.created(ctx, one)
		if err != nil {
			return err
		}
		all = append(all, float64(took.Microseconds())/1000)
	}
	slices.Sort(all)
	tell("single topic on an idle operator, created to Ready: median", all[times/2], "ms", 0)
	tell("single topic on an idle operator, created to Ready: p95", all[times*95/100], "ms", 0)
	return nil
}
