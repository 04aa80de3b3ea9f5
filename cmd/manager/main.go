// Command manager is the operator: it makes Kafka, relay workers and alerts
// follow Weir's resources. `manager record` prints what it owns.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/internal/controller/record"
)

func main() {
	switch err := run(ctrl.SetupSignalHandler(), os.Args[1:]); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	controller.Options
	metricsListen, healthListen string
	pod                         string
	leaderElect                 bool
}

// parse reads the flags. Flag.ErrHelp means that it has printed them.
func parse(args []string) (settings, error) {
	s := settings{pod: os.Getenv("POD_NAME")}
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.StringVar(&s.metricsListen, "metrics-listen", ":8443", "address of /metrics, over HTTPS with authentication by the API server; 0 turns it off")
	flags.StringVar(&s.healthListen, "health-listen", ":8081", "address of /healthz and /readyz")
	flags.BoolVar(&s.leaderElect, "leader-elect", true, "let one manager of this namespace work, the others stand by")
	flags.StringVar(&s.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's namespace: Secrets of KafkaClusters, retry workers, the leader's lease (default $POD_NAMESPACE)")
	flags.StringVar(&s.Image, "worker-image", "", "image of the workers (default: that of this manager's own pod, $POD_NAME)")
	flags.DurationVar(&s.Resync, "resync-interval", time.Minute, "how often clusters are swept for drift, and what is stalled is tried again")
	flags.DurationVar(&s.LagInterval, "lag-interval", 15*time.Second, "time between two measurements of consumer lag")
	flags.DurationVar(&s.StatusInterval, "status-interval", time.Minute, "the numbers in status are written at most this often, unless a condition changes")
	flags.DurationVar(&s.PollInterval, "poll-interval", 5*time.Second, "how often workers are asked for their state")
	flags.IntVar(&s.Concurrency, "concurrency", 64, "how many objects of a kind are reconciled at once")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.Namespace == "":
		return s, fmt.Errorf("the operator's namespace is not known; set --namespace or POD_NAMESPACE")
	case s.Image == "" && s.pod == "":
		return s, fmt.Errorf("the workers' image is not known; set --worker-image, or POD_NAME so that it is the manager's own")
	case s.Concurrency < 1:
		return s, fmt.Errorf("--concurrency must be at least 1, is %d", s.Concurrency)
	}
	for _, interval := range []struct {
		flag string
		time.Duration
	}{
		{"resync-interval", s.Resync}, {"lag-interval", s.LagInterval}, {"status-interval", s.StatusInterval}, {"poll-interval", s.PollInterval},
	} {
		if interval.Duration < 100*time.Millisecond {
			return s, fmt.Errorf("--%s must be at least 100ms, is %s", interval.flag, interval.Duration)
		}
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "record" {
		return showRecord(ctx, args[1:], os.Stdout)
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// Most of the heap is what is known of the resources, which stays: half as
		// much for what comes and goes is enough, and costs little.
		debug.SetGCPercent(50)
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, nil)))
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS = -1 // the API server's own fairness is the limit to trust

	lock, err := newLease(config, s.Namespace)
	if err != nil {
		return fmt.Errorf("preparing the leader's lease: %w", err)
	}
	s.Leads = lock.leads
	if !s.leaderElect {
		s.Leads = func(context.Context) (bool, error) { return true, nil }
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.Fatal = end
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: controller.NewScheme(),
		Cache:  controller.CacheOptions(),
		Metrics: metricsserver.Options{
			BindAddress:    s.metricsListen,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
			TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		},
		HealthProbeBindAddress:              s.healthListen,
		LeaderElection:                      s.leaderElect,
		LeaderElectionID:                    leaseName,
		LeaderElectionNamespace:             s.Namespace,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
	})
	if err != nil {
		return err
	}
	if s.Image == "" {
		if s.Image, err = ownImage(ctx, mgr.GetAPIReader(), client.ObjectKey{Namespace: s.Namespace, Name: s.pod}); err != nil {
			return err
		}
	}
	if err := controller.Setup(ctx, mgr, s.Options); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("caches", cachesSynced(mgr.GetCache())); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, record.ErrFenced) {
		return cause
	}
	return nil
}

// cachesSynced holds once the manager sees Weir's resources: one that leads, or
// that would, must not count as ready before.
func cachesSynced(caches cache.Cache) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second/2) // a probe waits for one
		defer cancel()
		if !caches.WaitForCacheSync(ctx) {
			return errors.New("the caches have not seen all of Weir's resources yet")
		}
		return nil
	}
}
