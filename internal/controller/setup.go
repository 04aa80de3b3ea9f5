package controller

import (
	"context"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/consumergroup"
	"github.com/weir-dev/weir/internal/controller/deadletterpolicy"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/internal/controller/lagging"
	"github.com/weir-dev/weir/internal/controller/outboxrelay"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/controller/topic"
	"github.com/weir-dev/weir/internal/controller/worker"
)

// Options are the settings of the operator.
type Options struct {
	// Namespace is the operator's: where the Secrets of KafkaClusters are, and
	// the retry workers run.
	Namespace string
	// Image of the workers.
	Image string
	// Resync is how often a cluster is swept for drift and looked at again,
	// and when a stalled resource is tried again.
	Resync time.Duration
	// LagInterval is the time between two measurements of lag.
	LagInterval time.Duration
	// StatusInterval is how often the numbers in status are written at most.
	StatusInterval time.Duration
	// PollInterval is how often workers are asked for their state.
	PollInterval time.Duration
	// Concurrency is how many objects of a kind are reconciled at once.
	Concurrency int
	// Leads says whether this process holds the lease, as the API server has it.
	Leads func(context.Context) (bool, error)
	// Fatal is told that another process holds it: this one must end.
	Fatal func(error)
}

// NewScheme returns the kinds that the operator works with.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(monitoringv1.AddToScheme(scheme))
	return scheme
}

// CacheOptions keep the cache small: no managed fields, and only what Weir made,
// but of Weir's own kinds and of namespaces. Those are named, and not the others,
// since a cache cannot be told of a kind that the API server does not have yet:
// PrometheusRules come with the Prometheus operator.
func CacheOptions() cache.Options {
	whole := cache.ByObject{Label: labels.Everything()}
	return cache.Options{
		DefaultTransform:     cache.TransformStripManagedFields(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{child.ManagedByLabel: child.ManagedBy}),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.KafkaCluster{}: whole, &v1alpha1.Topic{}: whole, &v1alpha1.OutboxRelay{}: whole,
			&v1alpha1.ConsumerGroup{}: whole, &v1alpha1.DeadLetterPolicy{}: whole, &corev1.Namespace{}: whole,
		},
	}
}

// Setup adds the operator to a manager.
func Setup(ctx context.Context, mgr manager.Manager, options Options) error {
	if err := AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	served, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	direct, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return err
	}
	paced := settle.NewPaced(mgr.GetEventRecorder("weir"))
	set := New(Parts{
		Client: mgr.GetClient(), Direct: direct, Events: paced, Served: served.ServerResourcesForGroupVersion,
	}, options)
	numbers := lagging.Metrics{From: set.Collectors}
	if err := metrics.Registry.Register(numbers); err != nil {
		return err
	}
	for _, runnable := range []manager.Runnable{set.Collectors, set.RuleKind, paced, manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		metrics.Registry.Unregister(numbers)
		set.Close()
		return nil
	})} {
		if err := mgr.Add(runnable); err != nil {
			return err
		}
	}
	return set.build(mgr, options.Concurrency)
}

// Operator is all reconcilers, and what they share.
type Operator struct {
	Clusters   *pool.Clusters
	Estates    *estate.Estates
	Collectors *lagging.Collectors
	RuleKind   *consumergroup.RuleKind
	Sweeper    *Sweeper

	// The reconcilers of all kinds.
	Cluster, Topic, Relay, Group, Policy reconcile.Reconciler

	alarms *alarms
}

// Close ends what runs besides the reconcilers.
func (s *Operator) Close() {
	s.Estates.Close()
	s.Clusters.Close()
}

// Parts are what a manager has that reconcilers need.
type Parts struct {
	Client client.Client // reads from the cache
	Direct client.Client // reads past it
	Events events.EventRecorder
	// Served tells what the API server serves of a group and version now.
	Served func(groupVersion string) (*metav1.APIResourceList, error)
}

// New puts the reconcilers together.
func New(p Parts, options Options) *Operator {
	var (
		c        = p.Client
		alarms   = &alarms{}
		settler  = settle.Settler{Client: c, Events: p.Events, Resync: options.Resync}
		root     = record.NewRoot(p.Direct, options.Namespace, options.Leads)
		clusters = pool.New(c, p.Direct, root, options.Namespace)
		estates  = estate.New(estate.Options{
			Clusters: clusters, Root: root, Cache: c, Direct: p.Direct, Resync: options.Resync,
			Leads: options.Leads, Fatal: options.Fatal, Wake: alarms.wake, Look: alarms.look, Corrected: corrections{c, settler}.tell,
		})
		finalize = release.Finalizer{Client: c}
		kids     = child.New(c, p.Direct)
		look     = worker.NewObserver(c)
		kind     = &consumergroup.RuleKind{Served: p.Served, Interval: options.Resync}
		lags     = lagging.New(clusters.Latest, options.LagInterval, alarms.group.ring)
	)
	kind.Look()
	var (
		cluster = &kafkacluster.Reconciler{
			Client: c, Settler: settler, Clusters: clusters, Estates: estates, Finalizer: finalize,
			Children: kids, Workers: look, Image: options.Image,
		}
		relay = &outboxrelay.Reconciler{
			Client: c, Settler: settler, Clusters: clusters, Estates: estates, Finalizer: finalize,
			Children: kids, Workers: look, Image: options.Image, Poll: options.PollInterval,
			Numbers: settle.NewNumbers(options.StatusInterval), Secrets: outboxrelay.NewRememberedSecrets(options.Resync),
		}
		group = &consumergroup.Reconciler{
			Client: c, Settler: settler, Estates: estates, Finalizer: finalize,
			Lag: lags, Alerts: consumergroup.Alerts{Children: kids, Kind: kind},
			Interval: options.StatusInterval, Numbers: settle.NewNumbers(options.StatusInterval),
		}
	)
	gone := func(kind string) func(context.Context, types.NamespacedName, bool) error {
		return func(ctx context.Context, name types.NamespacedName, seen bool) error {
			return estates.Gone(ctx, record.Ref{Kind: kind, Namespace: name.Namespace, Name: name.Name}, seen)
		}
	}
	return &Operator{
		Clusters: clusters, Estates: estates, Collectors: lags, RuleKind: kind, alarms: alarms,
		Sweeper: &Sweeper{client: c, clusters: clusters, estates: estates, resync: options.Resync, wake: alarms.wake},
		Cluster: newEnds(c, cluster,
			func(ctx context.Context, name types.NamespacedName, _ bool) error { return estates.End(ctx, name.Name) },
			func(obj client.Object) {
				cluster.Forget(obj)
				lags.End(obj.GetName())
			}),
		Topic:  newEnds(c, &topic.Reconciler{Client: c, Settler: settler, Estates: estates, Finalizer: finalize}, gone(estate.KindTopic), nothing),
		Relay:  newEnds(c, relay, gone(estate.KindRelay), relay.Forget),
		Group:  newEnds(c, group, gone(estate.KindGroup), group.Forget),
		Policy: reconcile.AsReconciler(c, &deadletterpolicy.Reconciler{Client: c, Settler: settler}),
	}
}

// nothing is kept in memory for a Topic.
func nothing(client.Object) {}
