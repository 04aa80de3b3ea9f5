// Command relay runs Weir's workers: `relay outbox` publishes an outbox table,
// `relay retry` moves failed records. It links no Kubernetes: what it needs is
// in the directory that --dir names (package internal/relay/config).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/outbox"
	"github.com/weir-dev/weir/internal/relay/retry"
)

// workers are the subcommands.
var workers = map[string]func(context.Context, relay.Options) error{
	"outbox": outbox.Run,
	"retry":  retry.Run,
}

const usage = "usage: relay outbox|retry --dir=<directory> --listen=<host:port>"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	if len(args) == 0 || workers[args[0]] == nil {
		return errors.New(usage)
	}
	options := relay.Options{Log: slog.New(slog.NewJSONHandler(stderr, nil))}
	flags := flag.NewFlagSet("relay "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&options.Dir, "dir", "/etc/weir", "directory with the worker's configuration and Secrets")
	flags.StringVar(&options.Listen, "listen", ":8080", "address of /healthz, /readyz, /metrics and /state")
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; %s", flags.Arg(0), usage)
	}
	return workers[args[0]](ctx, options)
}
