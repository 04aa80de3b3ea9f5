package controller

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
	"github.com/weir-dev/weir/internal/controller/release"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// A binding that two Topics grant goes with the second of them; a stranger's
// stays whatever happens.
func TestSharedBindings(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	group := h.namespace + ".billing"
	access := func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{
			Principal: "User:billing", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{group, group + "-*"},
		}}
	}
	shared := kafka.ReadGroup("User:billing", group)
	stranger := kafka.ReadGroup("User:billing", group+"-*")
	h.must(h.admin().AddBindings(t.Context(), stranger))

	first, second := h.readyTopic("first", access), h.readyTopic("second", access)
	h.wantsBindings(group, shared...)
	for _, topic := range []*v1alpha1.Topic{first, second} {
		if !slices.Contains(topic.Status.ManagedBindings, shared[0].String()) || slices.Contains(topic.Status.ManagedBindings, stranger[0].String()) {
			t.Errorf("Topic %s answers for %v", topic.Name, topic.Status.ManagedBindings)
		}
	}
	h.update(first, func() { first.Spec.Access = nil })
	h.pass(first)
	h.wantsReady(first)
	h.wantsBindings(group, shared...)
	h.restart()
	h.delete(second)
	h.wantsGone(second)
	h.wantsBindings(group)
	h.wantsBindings(group+"-", stranger...)
}

// Both owners of a binding are deleted at once, and the operator is restarted
// in between.
func TestSharedBindingsOfTheDeleted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cluster()
	group := h.namespace + ".billing"
	access := func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{Principal: "User:billing", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{group}}}
	}
	first, second := h.readyTopic("first", access), h.readyTopic("second", access)
	h.delete(first)
	h.delete(second)
	h.restart()
	h.wantsGone(first)
	h.restart()
	h.wantsGone(second)
	h.wantsBindings(group)
}

// Wherever a pass ends between record, apply and settle, and whether or not
// the operator survives, nothing that Weir has made is lost track of.
func TestCrashBetweenRecordAndSettle(t *testing.T) {
	t.Parallel()
	crashed := errors.New("crashed")
	statusWrite := func(n int) func(*harness) func() {
		return func(h *harness) func() {
			seen := 0
			return h.api.breaking(func(request *http.Request) error {
				if strings.HasSuffix(request.URL.Path, "/status") {
					if seen++; seen == n {
						return crashed
					}
				}
				return nil
			})
		}
	}
	refusing := func(keys ...kmsg.Key) func(*harness) func() {
		return func(h *harness) func() {
			return h.kafka.Fake.Fault(kfake.Fault{Keys: keys, Resource: h.namespace + ".orders", Err: kerr.UnknownServerError, Count: -1}).Remove
		}
	}
	for name, crash := range map[string]struct {
		on      func(testing.TB) *env.Kafka
		breakIt func(*harness) (restore func())
	}{
		"before the topic is recorded":       {env.SharedKafka, statusWrite(1)},
		"before the bindings are recorded":   {env.SharedKafka, statusWrite(2)},
		"after everything, before settling":  {env.SharedKafka, statusWrite(3)},
		"while the bindings are being added": {env.SharedFake, refusing(kmsg.CreateACLs)},
	} {
		for survival, restart := range map[string]bool{"it restarts": true, "it goes on": false} {
			t.Run(name+", "+survival, func(t *testing.T) {
				t.Parallel()
				h := newHarnessOn(t, crash.on(t))
				h.cluster()
				topic := h.topic("orders", withAccess, deleteData)
				name := h.namespace + ".orders"
				restore := crash.breakIt(h)
				h.sync(topic)
				if result, err := h.set.topic.Reconcile(t.Context(), topic.DeepCopy()); err == nil {
					t.Fatalf("the pass did not fail: %v", result)
				}
				restore()
				if restart {
					h.restart()
				}
				// What is there now is known now: the resource is deleted at once.
				h.delete(topic)
				if !h.gone(topic) {
					h.wantsGone(topic)
				}
				h.wantsBindings(name)
				h.await(func() string {
					if found, err := h.admin().ObserveTopic(t.Context(), name); err != nil || found.Exists {
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
	h := newHarnessOn(t, env.SharedFake(t))
	h.cluster()
	topic := h.readyTopic("orders", withAccess)
	name := topic.Status.TopicName
	fault := h.kafka.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteACLs}, Resource: name, Err: kerr.UnknownServerError, Count: -1})
	h.update(topic, func() { topic.Spec.Access = nil })
	h.pass(topic)
	h.wants(topic, v1alpha1.ConditionReconciling, "True", kafka.KafkaError, "remove ACL binding User:checkout * ")
	h.restart()
	h.delete(topic)
	h.pass(topic)
	if h.gone(topic) {
		t.Fatal("the Topic went without its bindings")
	}
	fault.Remove()
	h.wantsGone(topic)
	h.wantsBindings(name)
}

// unordered compares lists as sets.
var unordered = cmp.Options{cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)}

func TestSweepWakesWhatDiffers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	config := func(topic *v1alpha1.Topic) { topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"} }
	same, changed, stripped := h.readyTopic("same", config, withAccess), h.readyTopic("changed", config), h.readyTopic("stripped", withAccess)
	suspended := h.readyTopic("suspended", config)
	h.update(suspended, func() { suspended.Spec.Suspend = true })
	h.pass(suspended)
	h.readyTopic("orders")
	group := h.group("billing")
	h.passUntilReady(group)
	h.events.take()
	wantsDrift(h, cluster)

	admin := h.admin()
	for _, topic := range []*v1alpha1.Topic{changed, suspended} {
		name := topic.Status.TopicName
		h.must(admin.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1000"}}))
	}
	// Keys that nobody declares, and bindings of others, are not drift.
	h.must(admin.ApplyTopic(t.Context(), same.Status.TopicName, []kafka.Change{{Kind: kafka.SetConfig, Key: "max.message.bytes", Value: "2000"}}))
	h.must(admin.AddBindings(t.Context(), kafka.Consume("User:stranger", same.Status.TopicName)))
	lost := kafka.Produce("User:checkout", stripped.Status.TopicName)[:1]
	h.must(admin.RemoveBindings(t.Context(), append(lost, kafka.ReadGroup("User:billing", group.Status.GroupID)...)))
	wantsDrift(h, cluster, "ConsumerGroup/billing", "Topic/changed", "Topic/stripped")

	for _, obj := range []client.Object{changed, stripped, group} {
		h.passUntilReady(obj)
	}
	h.wantsEvents(
		"Topic/changed DriftCorrected Apply: somebody else changed topic "+changed.Status.TopicName+"; put right: config retention.ms: 1000 -> 3600000",
		"Topic/stripped DriftCorrected Grant: somebody else removed an ACL binding; put right: "+lost[0].String(),
		"ConsumerGroup/billing DriftCorrected Grant: somebody else removed an ACL binding; put right: "+kafka.ReadGroup("User:billing", group.Status.GroupID)[0].String(),
	)
	h.wantsTopic(kafka.Topic{Partitions: changed.Status.Partitions, Config: map[string]string{"retention.ms": "3600000"}}, changed)
	h.wantsBindings(stripped.Status.TopicName, kafka.Produce("User:checkout", stripped.Status.TopicName)...)
	wantsDrift(h, cluster)

	// A stranger's binding that we use and do not own is missed all the same.
	stranger := kafka.Produce("User:shop", same.Status.TopicName)
	h.must(admin.AddBindings(t.Context(), stranger))
	h.update(same, func() { same.Spec.Access[0].Principal = "User:shop" })
	h.pass(same)
	h.must(admin.RemoveBindings(t.Context(), stranger))
	wantsDrift(h, cluster, "Topic/same")
	h.pass(same)
	wantsDrift(h, cluster)
}

// wantsDrift compares what a sweep wakes, once the brokers show it.
func wantsDrift(h *harness, cluster *v1alpha1.KafkaCluster, want ...string) {
	h.Helper()
	connection, err := h.set.clusters.Connect(h.Context(), cluster)
	h.must(err)
	h.await(func() string {
		drifted, err := h.set.sweeper.DriftedOn(h.Context(), cluster, connection)
		if err != nil {
			return err.Error()
		}
		got := []string{}
		for _, obj := range drifted {
			kind, name, _ := strings.Cut(release.Describe(h.live, obj), " ")
			got = append(got, kind+"/"+strings.TrimPrefix(name, h.namespace+"/"))
		}
		return cmp.Diff(want, got, unordered)
	})
}

// The sweep tells reconcilers by their channels, and comes back.
func TestSweepWakes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cluster := h.cluster()
	topic := h.readyTopic("orders")
	h.dropTopic(topic.Status.TopicName)
	woken := make(chan string, 1)
	go func() { woken <- (<-h.set.sweeper.WokenTopics()).Object.Name }()
	result, err := h.set.sweeper.Reconcile(t.Context(), cluster)
	if err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("the sweep returned %v, %v", result, err)
	}
	if name := <-woken; name != "orders" {
		t.Errorf("the sweep woke %q", name)
	}
	h.update(cluster, func() { cluster.Spec.Suspend = true })
	h.pass(cluster)
	if result, err := h.set.sweeper.Reconcile(t.Context(), cluster); err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("the sweep of a suspended cluster returned %v, %v", result, err)
	}
}
