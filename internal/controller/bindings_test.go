package controller_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// A binding that two Topics grant goes with the second of them; a stranger's
// stays whatever happens.
func TestSharedBindings(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	group := h.Namespace + ".billing"
	access := func(topic *v1alpha1.Topic) {
		topic.Spec.Access = []v1alpha1.Access{{
			Principal: "User:billing", Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{group, group + "-*"},
		}}
	}
	shared := kafka.ReadGroup("User:billing", group)
	stranger := kafka.ReadGroup("User:billing", group+"-*")
	h.Must(errors.Join(h.Admin().CreateBindings(t.Context(), stranger)...))
	h.WantsBindings(group+"-", stranger...)
	h.Running.Estates.Of(cluster.Name).Sweep() // or it is looked at within a minute

	first, second := h.ReadyTopic("first", access), h.ReadyTopic("second", access)
	h.WantsBindings(group, shared...)
	h.Update(first, func() { first.Spec.Access = nil })
	h.PassUntilReady(first)
	h.WantsBindings(first.Status.TopicName)
	h.WantsBindings(group, shared...)
	h.Restart()
	h.PassUntilReady(first)
	h.PassUntilReady(second)
	h.Delete(second)
	h.WantsGone(second)
	h.WantsBindings(group)
	h.WantsBindings(group+"-", stranger...)
}

// What was asked for before a crash is done after it, though nobody is left who
// could ask again.
func TestRemovalsOutliveACrash(t *testing.T) {
	t.Parallel()
	h := harness.NewOn(t, env.SharedFake(t))
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	name := topic.Status.TopicName
	fault := h.Kafka.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteACLs}, Resource: name, Err: kerr.UnknownServerError, Count: -1})
	h.Delete(topic)
	h.WantsGone(topic)
	h.Await(func() string {
		h.Pass(cluster)
		if cluster.Status.PendingRemovals == 0 || cluster.Status.PendingSince == nil {
			return "nothing is to be removed"
		}
		return ""
	})
	h.Restart()
	fault.Remove()
	h.WantsBindings(name)
	h.Await(func() string {
		h.Pass(cluster)
		if cluster.Status.PendingRemovals != 0 || cluster.Status.PendingSince != nil {
			return "something is still to be removed"
		}
		return ""
	})
}

// Wherever a pass ends, and whether or not the operator survives, nothing that
// Weir has made is lost track of.
func TestCrashInAPass(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*harness.Harness) (restore func()){
		"status is not written": func(h *harness.Harness) func() {
			return h.API.Breaking(func(request *http.Request) error {
				if strings.HasSuffix(request.URL.Path, "/status") {
					return errors.New("crashed")
				}
				return nil
			})
		},
		"bindings are not added": func(h *harness.Harness) func() {
			return h.Kafka.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateACLs}, Resource: h.Namespace + ".orders", Err: kerr.UnknownServerError, Count: -1}).Remove
		},
	} {
		for survival, restart := range map[string]bool{"it restarts": true, "it goes on": false} {
			t.Run(name+", "+survival, func(t *testing.T) {
				t.Parallel()
				h := harness.NewOn(t, env.SharedFake(t))
				h.Cluster()
				topic := h.Topic("orders", harness.WithAccess, harness.DeleteData)
				name := h.Namespace + ".orders"
				restore := breakIt(h)
				if _, err := h.Running.Topic.Reconcile(t.Context(), harness.RequestOf(topic)); err == nil {
					t.Fatal("the pass did not fail")
				}
				restore()
				if restart {
					h.Restart()
				}
				h.Delete(topic)
				h.WantsGone(topic)
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

func TestSweep(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	config := func(topic *v1alpha1.Topic) { topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"} }
	same, changed, stripped := h.ReadyTopic("same", config, harness.WithAccess), h.ReadyTopic("changed", config), h.ReadyTopic("stripped", harness.WithAccess)
	suspended := h.ReadyTopic("suspended", config)
	h.Update(suspended, func() { suspended.Spec.Suspend = true })
	h.Pass(suspended)
	h.ReadyTopic("orders")
	group := h.ReadyGroup("billing")
	h.Events.Take()
	wantsDrift(h, cluster)

	admin := h.Admin()
	for _, topic := range []*v1alpha1.Topic{changed, suspended} {
		name := topic.Status.TopicName
		h.Must(admin.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: "1000"}}))
	}
	// Keys that nobody declares, and bindings of others, are not drift.
	h.Must(admin.ApplyTopic(t.Context(), same.Status.TopicName, []kafka.Change{{Kind: kafka.SetConfig, Key: "max.message.bytes", Value: "2000"}}))
	h.Must(errors.Join(admin.CreateBindings(t.Context(), kafka.Consume("User:stranger", same.Status.TopicName))...))
	wantsDrift(h, cluster, "changed")
	h.PassUntilReady(changed)
	h.WantsEvents("Topic/changed DriftCorrected Apply: somebody else changed topic " + changed.Status.TopicName + "; put right: config retention.ms: 1000 -> 3600000")
	h.WantsTopic(kafka.Topic{Partitions: changed.Status.Partitions, Config: map[string]string{"retention.ms": "3600000"}}, changed)

	lost := append(kafka.Produce("User:checkout", stripped.Status.TopicName), kafka.ReadGroup("User:billing", group.Status.GroupID)...)
	h.Must(errors.Join(admin.DeleteBindings(t.Context(), lost)...))
	h.WantsBindings(stripped.Status.TopicName)
	var events []string
	h.Await(func() string {
		h.Running.Estates.Of(cluster.Name).Sweep()
		events = append(events, h.Events.Take()...)
		return cmp.Diff([]string{
			"ConsumerGroup/billing DriftCorrected Grant: somebody else removed an ACL binding; put right: " + lost[1].String(),
			"Topic/stripped DriftCorrected Grant: somebody else removed an ACL binding; put right: " + lost[0].String(),
		}, events, unordered)
	})
	h.WantsBindings(stripped.Status.TopicName, lost[0])
	h.WantsBindings(group.Status.GroupID, lost[1])
	wantsDrift(h, cluster)
}

// unordered compares lists as sets.
var unordered = cmp.Options{cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)}

// wantsDrift compares which Topics a sweep wakes, once the brokers show it.
func wantsDrift(h *harness.Harness, cluster *v1alpha1.KafkaCluster, want ...string) {
	h.Helper()
	h.Sync(cluster)
	h.Await(func() string {
		woken, err := h.Running.Sweeper.WokenBy(h.Context(), cluster)
		if err != nil {
			return err.Error()
		}
		got := []string{}
		for _, ref := range woken {
			got = append(got, ref.Name)
		}
		return cmp.Diff(want, got, unordered)
	})
}

func TestSweepComesBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	for _, suspend := range []bool{false, true} {
		h.Update(cluster, func() { cluster.Spec.Suspend = suspend })
		h.Pass(cluster)
		if result, err := h.Running.Sweeper.Reconcile(t.Context(), cluster); err != nil || result.RequeueAfter != time.Minute {
			t.Errorf("the sweep of a cluster returned %v, %v; suspended: %v", result, err, suspend)
		}
	}
}
