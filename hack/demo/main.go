// Command demo runs the whole product on this machine, and nothing else: a real
// API server, Kafka, PostgreSQL, the manager and its workers as local
// processes. It tells a story that checks itself: each step prints the command
// that a user would type and what came back, and the first one that does not
// hold ends it with exit code 1 and the reason.
//
// On a terminal the platform then stays up until Ctrl-C. Which Kafka it runs
// on is decided by the environment, as in test/env: kfake in process, Apache
// Kafka with WEIR_TEST_KAFKA=apache, or the cluster at KAFKA_BOOTSTRAP, as the
// super user in KAFKA_USERNAME and KAFKA_PASSWORD.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	kills := flag.Int("chaos", 0, "kill -9 the manager and the workers at this many random moments of the story")
	seed := flag.Uint64("seed", rand.Uint64(), "seed of the random moments, to have them again")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, func() {
		stop() // a second Ctrl-C does not wait for an orderly end
		fmt.Fprintln(os.Stderr, "\ndemo: taking everything down")
	})
	if err := run(ctx, *kills, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		if errors.Is(err, errInterrupted) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted")

// run tells the story, and leaves nothing behind.
func run(ctx context.Context, kills int, seed uint64) (err error) {
	if _, err := os.Stat("config/samples/kustomization.yaml"); err != nil {
		return errors.New("run it at the top of the checkout: make demo")
	}
	terminal := isTerminal(os.Stdin) && isTerminal(os.Stdout)
	t := &teller{out: os.Stdout, color: terminal && os.Getenv("NO_COLOR") == ""}
	parts, err := startParts(ctx, t)
	defer func() { err = errors.Join(err, parts.close()) }()
	if err != nil {
		return orInterrupted(ctx, err)
	}

	d := newDemo(t, parts)
	defer func() { err = errors.Join(err, d.close()) }()
	if kills > 0 {
		d.patience *= 3 // whoever was killed comes back, the manager after its lease has run out
		d.chaos = newChaos(t, parts.kubelet, kills, seed)
	}
	began := time.Now()
	if err := d.tell(ctx); err != nil {
		return orInterrupted(ctx, err)
	}
	t.say("The whole story took %s.", time.Since(began).Round(100*time.Millisecond))
	if terminal {
		return d.stayUp(ctx)
	}
	return nil
}

// orInterrupted is err, unless an interrupt is what it comes from.
func orInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// isTerminal says whether somebody sits at the other end of file.
func isTerminal(file *os.File) bool {
	stat, err := file.Stat()
	if err != nil || stat.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device, too
	return err == nil && !os.SameFile(stat, null)
}
