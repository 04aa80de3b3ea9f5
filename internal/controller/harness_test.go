package controller

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kmsg"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

// harness calls reconcilers directly, one pass at a time, against a real API
// server and Kafka. After every pass it checks that the conditions conform.
type harness struct {
	*testing.T
	set       *set
	stop      func()
	kafka     *env.Kafka
	namespace string // the team's
	operator  string // the operator's
	api       *tap
	events    *recorder
	parts     parts
	live      client.Client // neither cached nor tapped
}

// newHarness has a namespace for a team and one for the operator of its own,
// on the shared Kafka.
func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessOn(t, env.SharedKafka(t))
}

func newHarnessOn(t *testing.T, on *env.Kafka) *harness {
	t.Helper()
	control := kube.Shared(t)
	h := &harness{
		T: t, kafka: on, namespace: control.Namespace(t), operator: control.Namespace(t),
		api: new(tap), events: new(recorder),
	}
	shared := startManager(t, control)
	// A client of this test's own, so that its writes can be counted and broken.
	config := rest.CopyConfig(control.Config)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return tapped{next, h.api} })
	mine, err := client.New(config, client.Options{
		Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper(),
		Cache: &client.CacheOptions{Reader: shared.GetCache()},
	})
	h.must(err)
	h.live, err = client.New(control.Config, client.Options{Scheme: shared.GetScheme(), Mapper: shared.GetRESTMapper()})
	h.must(err)
	h.parts = parts{client: mine, live: h.live, events: h.events, mapper: shared.GetRESTMapper()}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// startFake is a cluster of this test's own, to be broken as a whole.
func startFake(t *testing.T) *env.Kafka {
	t.Helper()
	own, err := env.StartFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return own
}

// start starts an operator that knows nothing but what the API server and
// Kafka tell it.
func (h *harness) start() {
	h.set = newSet(h.parts, Options{
		Namespace: h.operator, Image: "weir:test", Resync: time.Minute,
		LagInterval: 100 * time.Millisecond, StatusInterval: time.Nanosecond, PollInterval: time.Second,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	collectors := h.set.collectors
	group.Go(func() { _ = collectors.Start(ctx) })
	clusters := h.set.base.clusters
	h.stop = func() { cancel(); group.Wait(); clusters.close() }
}

// restart ends the operator, as a crash does between two passes or in the
// middle of one that failed, and starts another one.
func (h *harness) restart() {
	h.stop()
	h.start()
}

var sharedManager env.Shared[*runningManager]

// runningManager is a manager that has a cache and runs no controllers.
type runningManager struct {
	manager.Manager
	stop func() error
}

func (m *runningManager) Close() error { return m.stop() }

func startManager(t *testing.T, control *kube.Cluster) manager.Manager {
	return sharedManager.Get(t, func(context.Context) (*runningManager, error) {
		if err := control.InstallPrometheusRules(); err != nil {
			return nil, err
		}
		mgr, err := manager.New(control.Config, manager.Options{
			Scheme: NewScheme(), Cache: CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
			cancel()
			return nil, err
		}
		done := make(chan error, 1)
		go func() { done <- mgr.Start(ctx) }()
		mgr.GetCache().WaitForCacheSync(ctx)
		return &runningManager{Manager: mgr, stop: func() error { cancel(); return <-done }}, nil
	})
}

// tap sees the requests that write to the API server: it counts them, and can
// break them.
type tap struct {
	writes atomic.Int64
	// refuse, where set, says why a request must fail.
	refuse atomic.Pointer[func(*http.Request) error]
}

// breaking makes the requests fail for which refuse returns an error, until
// the returned function is called.
func (a *tap) breaking(refuse func(*http.Request) error) (restore func()) {
	a.refuse.Store(&refuse)
	return func() { a.refuse.Store(nil) }
}

type tapped struct {
	next http.RoundTripper
	*tap
}

func (t tapped) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet {
		t.writes.Add(1)
		if refuse := t.refuse.Load(); refuse != nil {
			if err := (*refuse)(request); err != nil {
				return nil, err
			}
		}
	}
	return t.next.RoundTrip(request)
}

// recorder keeps events in memory. It implements events.EventRecorder.
type recorder struct {
	mu   sync.Mutex
	seen []string
	// transitions are kept apart: tests of effects need not foresee them.
	transitions []string
}

// Eventf keeps an event as "Kind/name Reason Action: note".
func (r *recorder) Eventf(regarding, _ runtime.Object, _, reason, action, note string, args ...any) {
	obj := regarding.(client.Object)
	kind := strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1alpha1.")
	r.mu.Lock()
	defer r.mu.Unlock()
	if action == settle.Settled {
		r.transitions = append(r.transitions, kind+" "+reason)
		return
	}
	r.seen = append(r.seen, fmt.Sprintf("%s/%s %s %s: %s", kind, obj.GetName(), reason, action, fmt.Sprintf(note, args...)))
}

// AnnotatedEventf is not used by the operator.
func (r *recorder) AnnotatedEventf(regarding, related runtime.Object, _ map[string]string, kind, reason, action, note string, args ...any) {
	r.Eventf(regarding, related, kind, reason, action, note, args...)
}

// take returns the events of effects since it was last called.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// wantsEvents compares the events since this was last asked.
func (h *harness) wantsEvents(want ...string) {
	h.Helper()
	if diff := cmp.Diff(want, h.events.take(), cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("events (-want +got):\n%s", diff)
	}
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// cluster makes a KafkaCluster on the shared Kafka, named by this test's
// namespace, and reconciles it to Ready.
func (h *harness) cluster(change ...func(*v1alpha1.KafkaCluster)) *v1alpha1.KafkaCluster {
	h.Helper()
	h.secret(h.operator, "weir-kafka", "username", h.kafka.Admin.Name+"\n", "password", h.kafka.Admin.Password+"\n")
	cluster := h.clusterSpec()
	for _, fn := range change {
		fn(cluster)
	}
	h.create(cluster)
	h.pass(cluster)
	return cluster
}

// mechanisms are the API's names of the SASL mechanisms, by Kafka's.
var mechanisms = map[string]v1alpha1.SASLMechanism{
	env.Plain: v1alpha1.SASLPlain, env.ScramSHA256: v1alpha1.SASLScramSHA256, env.ScramSHA512: v1alpha1.SASLScramSHA512,
}

// clusterSpec is a KafkaCluster on the harness's Kafka, named by this test's namespace.
func (h *harness) clusterSpec() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: h.namespace},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: h.kafka.Bootstrap,
			SASL:             &v1alpha1.KafkaSASL{Mechanism: mechanisms[h.kafka.Admin.Mechanism], SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
		},
	}
}

func keyOf(obj client.Object) client.ObjectKey { return client.ObjectKeyFromObject(obj) }

func (h *harness) clusterRef() *v1alpha1.ClusterReference {
	return &v1alpha1.ClusterReference{Name: h.namespace}
}

// secret makes or replaces a Secret from keys and values.
func (h *harness) secret(namespace, name string, pairs ...string) {
	h.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		secret.StringData[pairs[i]] = pairs[i+1]
	}
	h.must(client.IgnoreAlreadyExists(h.live.Create(h.Context(), secret)))
	h.must(h.live.Update(h.Context(), secret))
}

// topic makes a Topic in the team's namespace; it is not reconciled yet.
func (h *harness) topic(name string, change ...func(*v1alpha1.Topic)) *v1alpha1.Topic {
	h.Helper()
	topic := &v1alpha1.Topic{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec:       v1alpha1.TopicSpec{ClusterRef: h.clusterRef()},
	}
	for _, fn := range change {
		fn(topic)
	}
	h.create(topic)
	return topic
}

// group makes a ConsumerGroup in the team's namespace that reads the Topic
// orders; its group ID is unique. It is not reconciled yet.
func (h *harness) group(name string, change ...func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
	h.Helper()
	group := &v1alpha1.ConsumerGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec: v1alpha1.ConsumerGroupSpec{
			ClusterRef: h.clusterRef(), GroupID: h.namespace + "." + name, Principal: "User:" + name,
			Topics: []v1alpha1.TopicReference{{Name: "orders"}},
		},
	}
	for _, fn := range change {
		fn(group)
	}
	h.create(group)
	return group
}

// relay makes an OutboxRelay in the team's namespace that publishes all rows to
// the Topic orders, with the Secrets that it needs. It is not reconciled yet.
func (h *harness) relay(name string, change ...func(*v1alpha1.OutboxRelay)) *v1alpha1.OutboxRelay {
	h.Helper()
	h.secret(h.namespace, "shop-db-app", "uri", "postgresql://shop:secret@db:5432/shop")
	h.secret(h.namespace, "shop-relay-kafka", "username", "shop-relay", "password", "secret")
	relay := &v1alpha1.OutboxRelay{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name},
		Spec: v1alpha1.OutboxRelaySpec{
			ClusterRef: h.clusterRef(),
			Database:   v1alpha1.Database{ConnectionSecretRef: v1alpha1.SecretKeyReference{Name: "shop-db-app", Key: "uri"}},
			Routes:     []v1alpha1.Route{{TopicRef: v1alpha1.TopicReference{Name: "orders"}}},
			Kafka: v1alpha1.KafkaCredentials{
				Principal: "User:shop-relay", CredentialsSecretRef: v1alpha1.SecretReference{Name: "shop-relay-kafka"},
			},
		},
	}
	for _, fn := range change {
		fn(relay)
	}
	h.create(relay)
	return relay
}

// policy makes a DeadLetterPolicy in the team's namespace and reconciles it.
func (h *harness) policy(name string, change ...func(*v1alpha1.DeadLetterPolicy)) *v1alpha1.DeadLetterPolicy {
	h.Helper()
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name}}
	for _, fn := range change {
		fn(policy)
	}
	h.create(policy)
	h.pass(policy)
	return policy
}

// create creates obj and waits until the cache has it.
func (h *harness) create(obj client.Object) {
	h.Helper()
	h.must(h.live.Create(h.Context(), obj))
	h.sync(obj)
}

// edit changes the newest obj, whose status the operator may write meanwhile.
func (h *harness) edit(obj client.Object, change func()) {
	h.Helper()
	h.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		change()
		return h.live.Update(h.Context(), obj)
	}))
}

// update changes the newest obj and waits until the cache has it.
func (h *harness) update(obj client.Object, change func()) {
	h.Helper()
	h.must(h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj))
	change()
	h.must(h.live.Update(h.Context(), obj))
	h.sync(obj)
}

// delete asks for deletion and waits until the cache knows.
func (h *harness) delete(obj client.Object) {
	h.Helper()
	h.must(h.live.Delete(h.Context(), obj))
	h.sync(obj)
}

// sync waits until the cache shows obj as the API server does, and reads it.
func (h *harness) sync(obj client.Object) {
	h.Helper()
	key := client.ObjectKeyFromObject(obj)
	h.await(func() string {
		err := h.live.Get(h.Context(), key, obj)
		if client.IgnoreNotFound(err) != nil {
			return err.Error()
		}
		cached := obj.DeepCopyObject().(client.Object)
		cachedErr := h.set.base.Client.Get(h.Context(), key, cached)
		if (err == nil) != (cachedErr == nil) || (err == nil && cached.GetResourceVersion() != obj.GetResourceVersion()) {
			return fmt.Sprintf("the cache is behind on %s: live %v, cached %v", key, err, cachedErr)
		}
		return ""
	})
}

// pass makes one pass over obj, checks that its conditions conform, and reads
// it anew.
func (h *harness) pass(obj client.Object) (reconcile.Result, error) {
	h.Helper()
	h.sync(obj)
	var result reconcile.Result
	var err error
	switch o := obj.DeepCopyObject().(type) {
	case *v1alpha1.KafkaCluster:
		result, err = h.set.cluster.Reconcile(h.Context(), o)
	case *v1alpha1.Topic:
		result, err = h.set.topic.Reconcile(h.Context(), o)
	case *v1alpha1.OutboxRelay:
		result, err = h.set.relay.Reconcile(h.Context(), o)
	case *v1alpha1.ConsumerGroup:
		result, err = h.set.group.Reconcile(h.Context(), o)
	case *v1alpha1.DeadLetterPolicy:
		result, err = h.set.policy.Reconcile(h.Context(), o)
	}
	uid := obj.GetUID()
	h.sync(obj)
	if obj.GetUID() == uid && obj.GetResourceVersion() != "" && !h.gone(obj) && !settle.LetGo(obj) {
		h.conforms(obj)
	}
	return result, err
}

// passUntil makes passes until the condition has the reason.
func (h *harness) passUntil(obj client.Object, condition, reason string) {
	h.Helper()
	h.await(func() string {
		if _, err := h.pass(obj); err != nil && condition == v1alpha1.ConditionReady {
			h.Logf("pass: %v", err)
		}
		if found := h.condition(obj, condition); found.Reason != reason {
			return fmt.Sprintf("%s is %s/%s: %s", condition, found.Status, found.Reason, found.Message)
		}
		return ""
	})
}

// passUntilReady makes passes until obj is Ready: brokers acknowledge a change
// before they show it.
func (h *harness) passUntilReady(obj client.Object) {
	h.Helper()
	h.passUntil(obj, v1alpha1.ConditionReady, readyReason(obj))
}

// gone says whether the API server has no obj any more.
func (h *harness) gone(obj client.Object) bool {
	h.Helper()
	err := h.live.Get(h.Context(), client.ObjectKeyFromObject(obj), obj.DeepCopyObject().(client.Object))
	h.must(client.IgnoreNotFound(err))
	return err != nil
}

// conforms checks the rules that every resource's conditions obey, by which
// kstatus reads them right.
func (h *harness) conforms(obj client.Object) {
	h.Helper()
	conditions, observed := obj.(settle.Object).GetConditions(), obj.(settle.Object).GetObservedGeneration()
	if *observed != obj.GetGeneration() {
		h.Errorf("%T: status.observedGeneration is %d, generation %d", obj, *observed, obj.GetGeneration())
	}
	ready := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReady)
	if ready == nil {
		h.Fatalf("%T has no condition Ready", obj)
	}
	reconciling := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReconciling)
	stalled := meta.FindStatusCondition(*conditions, v1alpha1.ConditionStalled)
	if reconciling != nil && stalled != nil {
		h.Errorf("%T is Reconciling and Stalled at once", obj)
	}
	for _, abnormal := range []*metav1.Condition{reconciling, stalled} {
		switch {
		case abnormal == nil:
		case abnormal.Status != metav1.ConditionTrue:
			h.Errorf("%T: condition %s is present and %s", obj, abnormal.Type, abnormal.Status)
		case ready.Status == metav1.ConditionTrue:
			h.Errorf("%T is Ready and %s at once", obj, abnormal.Type)
		case abnormal.Reason != ready.Reason || abnormal.Message != ready.Message:
			h.Errorf("%T: %s says %s (%s) and Ready says %s (%s)", obj, abnormal.Type, abnormal.Reason, abnormal.Message, ready.Reason, ready.Message)
		}
	}
	for _, condition := range *conditions {
		if condition.ObservedGeneration != obj.GetGeneration() && (condition.Type == v1alpha1.ConditionReady) {
			h.Errorf("%T: condition %s speaks of generation %d, not %d", obj, condition.Type, condition.ObservedGeneration, obj.GetGeneration())
		}
		if condition.Message == "" || strings.Contains(condition.Message, "\n") {
			h.Errorf("%T: condition %s has the message %q; want one line", obj, condition.Type, condition.Message)
		}
	}
}

func (h *harness) condition(obj client.Object, kind string) metav1.Condition {
	h.Helper()
	if found := meta.FindStatusCondition(*obj.(settle.Object).GetConditions(), kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// wants checks status and reason of a condition, and that its message contains
// what a person needs to read.
func (h *harness) wants(obj client.Object, kind string, status metav1.ConditionStatus, reason, message string) {
	h.Helper()
	got := h.condition(obj, kind)
	if got.Status != status || got.Reason != reason || !strings.Contains(got.Message, message) {
		h.Errorf("%T %s:\n got %s/%s: %s\nwant %s/%s: …%s…", obj, kind, got.Status, got.Reason, got.Message, status, reason, message)
	}
}

// readyReason is why obj is Ready when all is well.
func readyReason(obj client.Object) string {
	if _, ok := obj.(*v1alpha1.KafkaCluster); ok {
		return v1alpha1.ReasonConnected
	}
	return v1alpha1.ReasonReady
}

func (h *harness) wantsReady(obj client.Object) {
	h.Helper()
	h.wants(obj, v1alpha1.ConditionReady, metav1.ConditionTrue, readyReason(obj), "")
}

func (h *harness) wantsStalled(obj client.Object, reason, message string) {
	h.Helper()
	h.wants(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	h.wants(obj, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
}

// await polls until look returns "".
func (h *harness) await(look func() string) {
	h.Helper()
	env.Await(h.T, look)
}

// admin is a connection as the cluster's super user.
func (h *harness) admin() *kafka.Cluster {
	h.Helper()
	cluster, err := kafka.Connect(kafka.Config{
		BootstrapServers: h.kafka.Bootstrap,
		SASL: &kafka.SASL{
			Mechanism: string(mechanisms[h.kafka.Admin.Mechanism]),
			Credentials: func(context.Context) (string, string, error) {
				return h.kafka.Admin.Name, h.kafka.Admin.Password, nil
			},
		},
	})
	h.must(err)
	h.Cleanup(cluster.Close)
	return cluster
}

// kafkaWrites counts the requests of this test's operator that change the
// cluster, on kfake; Apache Kafka cannot be watched like that, and the count
// stays 0 there.
func (h *harness) kafkaWrites() *atomic.Int64 {
	count := new(atomic.Int64)
	fake, mine := h.kafka.Fake, h.namespace // kfake keeps what it is given, and must not keep the test
	if fake == nil {
		return count
	}
	for _, key := range []kmsg.Key{
		kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.IncrementalAlterConfigs, kmsg.CreateACLs, kmsg.DeleteACLs,
	} {
		fake.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			if strings.Contains(fmt.Sprintf("%+v", request), mine) {
				count.Add(1)
			}
			return nil, nil, false
		})
	}
	return count
}
