package controller_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// A binding that two Topics grant goes with the second of them; a stranger's
// stays whatever happens.
func TestSharedBindings(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	group := h.Namespace + ".billing"
	access := func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{
			Principal: "User:billing", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{group, group + "-*"},
		}}
	}
	shared := kafka.ReadGroup("User:billing", group)
	stranger := kafka.ReadGroup("User:billing", group+"-*")
	h.Must(h.Admin().AddBindings(t.Context(), stranger))

	first, second := h.ReadyTopic("first", access), h.ReadyTopic("second", access)
	h.WantsBindings(group, shared...)
	for _, topic := range []*v1alpha1.Topic{first, second} {
		if !slices.Contains(topic.Status.ManagedBindings, shared[0].String()) || slices.Contains(topic.Status.ManagedBindings, stranger[0].String()) {
			t.Errorf("Topic %s answers for %v", topic.Name, topic.Status.ManagedBindings)
		}
	}
	h.Update(first, func() { first.Spec.Access = nil })
	h.Pass(first)
	h.WantsReady(first)
	h.WantsBindings(group, shared...)
	h.Restart()
	h.Delete(second)
	h.WantsGone(second)
	h.WantsBindings(group)
	h.WantsBindings(group+"-", stranger...)
}

// Both owners of a binding are deleted at once, and the operator is restarted
// in between.
func TestSharedBindingsOfTheDeleted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	group := h.Namespace + ".billing"
	access := func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{Principal: "User:billing", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{group}}}
	}
	first, second := h.ReadyTopic("first", access), h.ReadyTopic("second", access)
	h.Delete(first)
	h.Delete(second)
	h.Restart()
	h.WantsGone(first)
	h.Restart()
	h.WantsGone(second)
	h.WantsBindings(group)
}

// Wherever a pass ends between record, apply and settle, and whether or not
// the operator survives, nothing that Weir has made is lost track of.
func TestCrashBetweenRecordAndSettle(t *testing.T) {
	t.Parallel()
	crashed := errors.New("crashed")
	statusWrite := func(n int) func(*harness.Harness) func() {
		return func(h *harness.Harness) func() {
			seen := 0
			return h.API.Breaking(func(request *http.Request) error {
				if strings.HasSuffix(request.URL.Path, "/status") {
					if seen++; seen == n {
						return crashed
					}
				}
				return nil
			})
		}
	}
	refusing := func(keys ...kmsg.Key) func(*harness.Harness) func() {
		return func(h *harness.Harness) func() {
			return h.Kafka.Fake.Fault(kfake.Fault{Keys: keys, Resource: h.Namespace + ".orders", Err: kerr.UnknownServerError, Count: -1}).Remove
		}
	}
	for name, crash := range map[string]struct {
		on      func(testing.TB) *env.Kafka
		breakIt func(*harness.Harness) (restore func())
	}{
		"before the topic is recorded":       {env.SharedKafka, statusWrite(1)},
		"before the bindings are recorded":   {env.SharedKafka, statusWrite(2)},
		"after everything, before settling":  {env.SharedKafka, statusWrite(3)},
		"while the bindings are being added": {env.SharedFake, refusing(kmsg.CreateACLs)},
	} {
		for survival, restart := range map[string]bool{"it restarts": true, "it goes on": false} {
			t.Run(name+", "+survival, func(t *testing.T) {
				t.Parallel()
				h := harness.NewOn(t, crash.on(t))
				h.Cluster()
				topic := h.Topic("orders", harness.WithAccess, harness.DeleteData)
				name := h.Namespace + ".orders"
				restore := crash.breakIt(h)
				h.Sync(topic)
				if result, err := h.Running.Topic.Reconcile(t.Context(), topic.DeepCopy()); err == nil {
					t.Fatalf("the pass did not fail: %v", result)
				}
				restore()
				if restart {
					h.Restart()
				}
				// What is there now is known now: the resource is deleted at once.
				h.Delete(topic)
				if !h.Gone(topic) {
					h.WantsGone(topic)
				}
				h.WantsBindings(name)
				h.Await(func() string {
					if found, err := h.Admin().ObserveTopic(t.Context(), name); err != nil || found.Exists {
						return "the topic is still there"
					}
					return ""
				})
			})
		}
	}
}

// Removing fails: the bindings stay recorded until they are gone.
func TestCrashWhileRevoking(t *testing.T) {
	t.Parallel()
	h := harness.NewOn(t, env.SharedFake(t))
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	name := topic.Status.TopicName
	fault := h.Kafka.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteACLs}, Resource: name, Err: kerr.UnknownServerError, Count: -1})
	h.Update(topic, func() { topic.Spec.Access = nil })
	h.Pass(topic)
	h.Wants(topic, v1alpha1.ConditionReconciling, "True", kafka.KafkaError, "remove ACL binding User:checkout * ")
	h.Restart()
	h.Delete(topic)
	h.Pass(topic)
	if h.Gone(topic) {
		t.Fatal("the Topic went without its bindings")
	}
	fault.Remove()
	h.WantsGone(topic)
	h.WantsBindings(name)
}

// unordered compares lists as sets.
var unordered = cmp.Options{cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)}

func TestSweepWakesWhatDiffers(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	config := func(topic *v1alpha1.Topic) { topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"} }
	same, changed, stripped := h.ReadyTopic("same", config, harness.WithAccess), h.ReadyTopic("changed", config), h.ReadyTopic("stripped", harness.WithAccess)
	suspended := h.ReadyTopic("suspended", config)
	h.Update(suspended, func() { suspended.Spec.Suspend = true })
	h.Pass(suspended)
	h.ReadyTopic("orders")
	group := h.Group("billing")
	h.PassUntilReady(group)
	h.Events.Take()
	wantsDrift(h, cluster)

	admin := h.Admin()
	for _, topic := range []*v1alpha1.Topic{changed, suspended} {
		name := topic.Status.TopicName
		h.Must(admin.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1000"}}))
	}
	// Keys that nobody declares, and bindings of others, are not drift.
	h.Must(admin.ApplyTopic(t.Context(), same.Status.TopicName, []kafka.Change{{Kind: kafka.SetConfig, Key: "max.message.bytes", Value: "2000"}}))
	h.Must(admin.AddBindings(t.Context(), kafka.Consume("User:stranger", same.Status.TopicName)))
	lost := kafka.Produce("User:checkout", stripped.Status.TopicName)[:1]
	h.Must(admin.RemoveBindings(t.Context(), append(lost, kafka.ReadGroup("User:billing", group.Status.GroupID)...)))
	wantsDrift(h, cluster, "ConsumerGroup/billing", "Topic/changed", "Topic/stripped")

	for _, obj := range []client.Object{changed, stripped, group} {
		h.PassUntilReady(obj)
	}
	h.WantsEvents(
		"Topic/changed DriftCorrected Apply: somebody else changed topic "+changed.Status.TopicName+"; put right: config retention.ms: 1000 -> 3600000",
		"Topic/stripped DriftCorrected Grant: somebody else removed an ACL binding; put right: "+lost[0].String(),
		"ConsumerGroup/billing DriftCorrected Grant: somebody else removed an ACL binding; put right: "+kafka.ReadGroup("User:billing", group.Status.GroupID)[0].String(),
	)
	h.WantsTopic(kafka.Topic{Partitions: changed.Status.Partitions, Config: map[string]string{"retention.ms": "3600000"}}, changed)
	h.WantsBindings(stripped.Status.TopicName, kafka.Produce("User:checkout", stripped.Status.TopicName)...)
	wantsDrift(h, cluster)

	// A stranger's binding that we use and do not own is missed all the same.
	stranger := kafka.Produce("User:shop", same.Status.TopicName)
	h.Must(admin.AddBindings(t.Context(), stranger))
	h.Update(same, func() { same.Spec.Access[0].Principal = "User:shop" })
	h.Pass(same)
	h.Must(admin.RemoveBindings(t.Context(), stranger))
	wantsDrift(h, cluster, "Topic/same")
	h.Pass(same)
	wantsDrift(h, cluster)
}

// wantsDrift compares what a sweep wakes, once the brokers show it.
func wantsDrift(h *harness.Harness, cluster *v1alpha1.KafkaCluster, want ...string) {
	h.Helper()
	connection, err := h.Running.Clusters.Connect(h.Context(), cluster)
	h.Must(err)
	h.Await(func() string {
		drifted, err := h.Running.Sweeper.DriftedOn(h.Context(), cluster, connection)
		if err != nil {
			return err.Error()
		}
		got := []string{}
		for _, obj := range drifted {
			kind, name, _ := strings.Cut(release.Describe(h.Live, obj), " ")
			got = append(got, kind+"/"+strings.TrimPrefix(name, h.Namespace+"/"))
		}
		return cmp.Diff(want, got, unordered)
	})
}

// The sweep tells reconcilers by their channels, and comes back.
func TestSweepWakes(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders")
	h.DropTopic(topic.Status.TopicName)
	woken := make(chan string, 1)
	go func() { woken <- (<-h.Running.Sweeper.WokenTopics()).Object.Name }()
	result, err := h.Running.Sweeper.Reconcile(t.Context(), cluster)
	if err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("the sweep returned %v, %v", result, err)
	}
	if name := <-woken; name != "orders" {
		t.Errorf("the sweep woke %q", name)
	}
	h.Update(cluster, func() { cluster.Spec.Suspend = true })
	h.Pass(cluster)
	if result, err := h.Running.Sweeper.Reconcile(t.Context(), cluster); err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("the sweep of a suspended cluster returned %v, %v", result, err)
	}
}
