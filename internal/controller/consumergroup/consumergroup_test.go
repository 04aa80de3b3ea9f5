package consumergroup_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestGroupGrants(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders")
	h.Policy("standard")
	group := h.ReadyGroup("billing", harness.WithPolicy)
	id := group.Status.GroupID
	h.WantsBindings(id, kafka.ReadGroup("User:billing", id)...)
	h.WantsBindings(topic.Status.TopicName, kafka.Consume("User:billing", topic.Status.TopicName)...)
	h.WantsBindings(deadletter.Failed(id), kafka.Produce("User:billing", deadletter.Failed(id))...)
	h.WantsBindings(deadletter.Retry(id), kafka.Consume("User:billing", deadletter.Retry(id))...)
	h.WantsBindings(deadletter.DLT(id))
	h.WantsBindings(deadletter.Wait(id, 1))

	// Another principal: the new one first, then the old one's go.
	h.Update(group, func() { group.Spec.Principal = "User:accounting" })
	h.Pass(group)
	h.WantsBindings(id, kafka.ReadGroup("User:accounting", id)...)
	h.WantsBindings(topic.Status.TopicName, kafka.Consume("User:accounting", topic.Status.TopicName)...)

	h.Delete(group)
	h.WantsGone(group)
	for _, name := range []string{id, topic.Status.TopicName, deadletter.Failed(id), deadletter.Retry(id)} {
		h.WantsBindings(name)
	}
	// The topics hold data, and stay.
	if dlt, err := h.Admin().ObserveTopic(t.Context(), deadletter.DLT(id)); err != nil || !dlt.Exists {
		t.Errorf("the dead letter topic is %+v, %v", dlt, err)
	}
}

func TestGroupWaitsForWhatItRefersTo(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	group := h.Group("billing", harness.WithPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Topics = append(group.Spec.Topics, v1alpha1.TopicReference{Name: "payments"})
	})
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonTopicNotFound,
		"spec.topics[0]: Topic "+h.Namespace+"/orders does not exist; create it, or correct the reference; spec.topics[1]: Topic "+h.Namespace+"/payments does not exist")
	h.Topic("orders")
	h.ReadyTopic("payments")
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonTopicNotReady, "Topic "+h.Namespace+"/orders does not exist in Kafka yet; see its conditions")
	h.PassUntil(h.Reread(&v1alpha1.Topic{}, "orders"), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPolicyNotFound,
		"spec.deadLetterPolicyRef: DeadLetterPolicy "+h.Namespace+"/standard does not exist; create it, or correct the reference")
	policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "standard"}}
	policy.Spec.Retry.MaxAttempts, policy.Spec.Retry.Backoff.Factor = 20, new(int32(100))
	h.Create(policy)
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPolicyNotReady, "DeadLetterPolicy "+h.Namespace+"/standard is not ready; see its conditions")
	h.Update(policy, func() { policy.Spec.Retry = v1alpha1.Retry{} })
	h.PassUntilReady(group)
}

func TestGroupOnAnotherCluster(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	own := harness.StartFake(t)
	h.Secret(h.Operator, "other", "username", own.Admin.Name, "password", own.Admin.Password)
	other := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Name += "-2"
		c.Spec.BootstrapServers, c.Spec.SASL.SecretRef.Name = own.Bootstrap, "other"
		c.Spec.SASL.Mechanism = harness.Mechanism(own)
	})
	group := h.Group("billing", func(group *v1alpha1.ConsumerGroup) { group.Spec.ClusterRef.Name = other.Name })
	h.Pass(group)
	h.WantsStalled(group, v1alpha1.ReasonTopicNotFound,
		fmt.Sprintf("spec.topics[0]: Topic %s/orders is on KafkaCluster %q, and this resource on %q; set spec.clusterRef to the same", h.Namespace, h.Namespace, other.Name))
}

func TestConsentAcrossNamespaces(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.Must(h.Live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: h.Namespace + "-finance", Labels: map[string]string{"team": "finance"},
	}}))
	topic := h.ReadyTopic("orders")
	abroad := func(group *v1alpha1.ConsumerGroup) {
		group.Namespace = h.Namespace + "-finance"
		group.Spec.GroupID = ""
		group.Spec.Topics[0].Namespace = h.Namespace
	}
	group := h.Group("billing", abroad)
	refused := "spec.topics[0]: Topic " + h.Namespace + "/orders does not admit namespace \"" + group.Namespace +
		"\"; its owner has to allow it in spec.allowedConsumers.namespaces"
	h.Pass(group)
	h.WantsStalled(group, v1alpha1.ReasonNotAllowed, refused)

	granted := kafka.Consume("User:billing", topic.Status.TopicName)
	for name, test := range map[string]struct {
		rule    v1alpha1.NamespaceRule
		allowed bool
	}{
		"all":      {v1alpha1.NamespaceRule{From: v1alpha1.FromAll}, true},
		"matching": {v1alpha1.NamespaceRule{From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "finance"}}}, true},
		"others":   {v1alpha1.NamespaceRule{From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "hr"}}}, false},
	} {
		h.Update(topic, func() { topic.Spec.AllowedConsumers.Namespaces = test.rule })
		if test.allowed {
			h.PassUntilReady(group)
			h.WantsBindings(topic.Status.TopicName, granted...)
		} else {
			h.Pass(group)
			h.WantsStalled(group, v1alpha1.ReasonNotAllowed, refused)
		}
		t.Log(name)
	}
	// Consent that is withdrawn takes the grant with it, and nothing else.
	h.Update(topic, func() { topic.Spec.AllowedConsumers.Namespaces = v1alpha1.NamespaceRule{From: v1alpha1.FromAll} })
	h.PassUntilReady(group)
	h.Update(topic, func() { topic.Spec.AllowedConsumers.Namespaces = v1alpha1.NamespaceRule{From: v1alpha1.FromSame} })
	h.Pass(group)
	h.WantsStalled(group, v1alpha1.ReasonNotAllowed, refused)
	h.WantsBindings(topic.Status.TopicName)
	h.WantsBindings(group.Status.GroupID, kafka.ReadGroup("User:billing", group.Status.GroupID)...)
}

func TestClusterAdmitsNamespaces(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Namespaces = v1alpha1.ClusterNamespaces{From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kafka": "yes"}}}
	})
	topic := h.Topic("orders")
	h.Pass(topic)
	h.WantsStalled(topic, v1alpha1.ReasonNamespaceRefused,
		fmt.Sprintf("KafkaCluster %q does not admit namespace %q: its labels do not match spec.namespaces.selector (kafka=yes)", cluster.Name, h.Namespace))
	var namespace corev1.Namespace
	h.Must(h.Live.Get(t.Context(), client.ObjectKey{Name: h.Namespace}, &namespace))
	namespace.Labels["kafka"] = "yes"
	h.Must(h.Live.Update(t.Context(), &namespace))
	h.PassUntilReady(topic)
}

// wantsLane compares a topic of a group's lane, once the broker shows it.
func wantsLane(h *harness.Harness, name string, partitions int32, config map[string]string) {
	h.Helper()
	admin := h.Admin()
	h.Await(func() string {
		got, err := admin.ObserveTopic(h.Context(), name)
		if err != nil || !got.Exists {
			return fmt.Sprintf("topic %s: %+v, %v", name, got, err)
		}
		return cmp.Diff(kafka.Topic{Name: name, ID: got.ID, Exists: true, Partitions: partitions, Replicas: got.Replicas, Config: config}, got)
	})
}

func TestGroupLane(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Defaults.Config = v1alpha1.TopicConfig{"min.insync.replicas": "1", "retention.ms": "1", "cleanup.policy": "compact"}
	})
	wide := func(n int32) func(*v1alpha1.Topic) {
		return func(topic *v1alpha1.Topic) { topic.Spec.Partitions = &n }
	}
	h.ReadyTopic("orders", wide(2))
	payments := h.ReadyTopic("payments", wide(3))
	policy := h.Policy("standard", func(policy *v1alpha1.DeadLetterPolicy) {
		policy.Spec.Retry.MaxAttempts = 3
		policy.Spec.DeadLetter.Retention = metav1.Duration{Duration: time.Hour}
	})
	h.Events.Take()
	group := h.ReadyGroup("billing", harness.WithPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Topics = append(group.Spec.Topics, v1alpha1.TopicReference{Name: "payments"})
	})
	id := group.Status.GroupID
	week := map[string]string{"retention.ms": "604800000", "cleanup.policy": "delete", "max.message.bytes": "1114124", "min.insync.replicas": "1"}
	hour := map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete", "max.message.bytes": "1114124", "min.insync.replicas": "1"}
	lane := []string{deadletter.Failed(id), deadletter.Retry(id), deadletter.Wait(id, 1), deadletter.Wait(id, 2)}
	for _, name := range lane {
		wantsLane(h, name, 3, week)
	}
	wantsLane(h, deadletter.DLT(id), 3, hour)
	if events := h.Events.Take(); len(events) != 1 || !strings.HasPrefix(events[0], "ConsumerGroup/billing DeadLetterTopicsChanged Apply: topic "+lane[0]+": created with 3 partitions") {
		t.Errorf("events: %q", events)
	}

	// A wider source widens the lane; a source that leaves does not narrow it.
	h.Update(payments, func() { payments.Spec.Partitions = new(int32(4)) })
	h.PassUntilReady(payments)
	h.Await(func() string {
		h.Pass(group)
		if got, err := h.Admin().ObserveTopic(t.Context(), lane[0]); err != nil || got.Partitions != 4 {
			return fmt.Sprintf("the lane is %+v, %v", got, err)
		}
		return ""
	})
	h.Update(group, func() { group.Spec.Topics = group.Spec.Topics[:1] })
	h.PassUntilReady(group)

	// A shorter schedule leaves the wait topics, since records may be in them.
	h.Update(policy, func() { policy.Spec.Retry.MaxAttempts = 2 })
	h.Pass(policy)
	h.Pass(group)
	if group.Status.DeadLetters.WaitTopics != 2 {
		t.Errorf("status.deadLetters.waitTopics is %d", group.Status.DeadLetters.WaitTopics)
	}
	h.Update(policy, func() { policy.Spec.Retry.MaxAttempts = 4 })
	h.Pass(policy)
	h.PassUntilReady(group)
	wantsLane(h, deadletter.Wait(id, 3), 4, week)

	// Records are never kept shorter than it takes to retry them, but longer
	// where somebody wants that; of dead letters the policy says it.
	admin := h.Admin()
	for name, retention := range map[string]string{lane[0]: "1000", lane[1]: "-1", deadletter.DLT(id): "-1"} {
		h.Must(admin.ApplyTopic(t.Context(), name, []kafka.Change{{Kind: kafka.SetConfig, Key: "retention.ms", Value: retention}}))
	}
	h.Await(func() string {
		h.Pass(group)
		got, err := admin.ObserveTopics(t.Context(), []string{lane[0], lane[1], deadletter.DLT(id)})
		if err != nil {
			return err.Error()
		}
		return cmp.Diff([]string{"604800000", "-1", "3600000"}, []string{
			got[lane[0]].Config["retention.ms"], got[lane[1]].Config["retention.ms"], got[deadletter.DLT(id)].Config["retention.ms"],
		})
	})

	// Without a policy the lane stays, to be drained by a retry worker.
	h.Update(group, func() { group.Spec.DeadLetterPolicyRef = nil })
	h.PassUntilReady(group)
	h.Wants(group, v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonPolicyRemoved, "the group has no policy any more")
	if group.Status.DeadLetters == nil || group.Status.DeadLetters.Waiting != nil {
		t.Errorf("status.deadLetters is %+v", group.Status.DeadLetters)
	}
	h.WantsBindings(deadletter.Failed(id))
	wantsLane(h, deadletter.Failed(id), 4, week)
}

func TestGroupDeadLetters(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders", harness.OnePartition)
	policy := h.Policy("standard")
	h.Wants(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionFalse, v1alpha1.ReasonNoDeadLetters, "")
	group := h.Group("billing", harness.WithPolicy)
	h.Pass(policy)
	h.Wants(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionUnknown, v1alpha1.ReasonDeadLettersUnknown, "not been counted yet")
	h.PassUntilReady(group)
	h.Await(func() string { // brokers may show the topic before its offsets
		h.Pass(group)
		h.Pass(policy)
		return cmp.Diff(v1alpha1.ReasonNoDeadLetters, h.Condition(policy, v1alpha1.ConditionDeadLettersPresent).Reason)
	})
	h.Produce(group.Status.DeadLetters.Topic, 3, time.Now())
	h.Await(func() string {
		h.Pass(group)
		if depth := group.Status.DeadLetters.Depth; depth == nil || *depth != 3 {
			return "the three dead letters are not counted"
		}
		return ""
	})
	h.Pass(policy)
	h.Wants(policy, v1alpha1.ConditionDeadLettersPresent, metav1.ConditionTrue, v1alpha1.ReasonDeadLetters, "see status.deadLetters of the ConsumerGroups")
	if policy.Status.ConsumerGroups != 1 || policy.Status.DeadLetters == nil || *policy.Status.DeadLetters != 3 {
		t.Errorf("status is %+v", policy.Status)
	}
}

func TestGroupLagging(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		objective v1alpha1.LagObjective
		reason    string
		message   string
	}{
		"by time": {
			v1alpha1.LagObjective{MaxTime: &metav1.Duration{Duration: time.Minute}},
			v1alpha1.ReasonTimeLag, "records older than 1m0s (lag.maxTime) are unread",
		},
		"by records": {
			v1alpha1.LagObjective{MaxRecords: new(int64(2))},
			v1alpha1.ReasonRecordLag, "more records are unread than lag.maxRecords allows",
		},
		"by records for a while": {
			v1alpha1.LagObjective{MaxRecords: new(int64(2)), For: &metav1.Duration{Duration: 300 * time.Millisecond}},
			v1alpha1.ReasonRecordLag, "more records are unread than lag.maxRecords allows",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Cluster()
			topic := h.ReadyTopic("orders", harness.OnePartition)
			group := h.ReadyGroup("billing", func(group *v1alpha1.ConsumerGroup) { group.Spec.Lag = test.objective })
			h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonWithinObjective) // brokers may still be choosing leaders
			h.Wants(group, v1alpha1.ConditionLagging, metav1.ConditionFalse, v1alpha1.ReasonWithinObjective, "the group keeps up with its objective")

			h.Produce(topic.Status.TopicName, 3, time.Now().Add(-time.Hour))
			h.PassUntil(group, v1alpha1.ConditionLagging, test.reason)
			h.Wants(group, v1alpha1.ConditionLagging, metav1.ConditionTrue, test.reason, test.message+"; no client has used the group yet")
			h.WantsReady(group)     // a slow reader does not make the contract less in effect
			h.Await(func() string { // the last of the records may come after the verdict
				if lag := group.Status.Lag; lag != nil && lag.Records == 3 && group.Status.Worst != nil && group.Status.Worst.Topic == topic.Status.TopicName {
					return ""
				}
				h.Pass(group)
				return fmt.Sprintf("status says %+v, worst %+v", group.Status.Lag, group.Status.Worst)
			})

			h.Commit(group.Status.GroupID, topic.Status.TopicName, 0)
			h.Await(func() string {
				h.Pass(group)
				if message := h.Condition(group, v1alpha1.ConditionLagging).Message; message != test.message+"; the group has no members: its consumers are not running" {
					return message
				}
				return ""
			})
			h.Commit(group.Status.GroupID, topic.Status.TopicName, 3)
			h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonWithinObjective)
		})
	}
}

func TestGroupLagUnknown(t *testing.T) {
	t.Parallel()
	gated, gate := env.SharedGate(t)
	h := harness.NewOn(t, gated)
	h.Cluster()
	h.ReadyTopic("orders", harness.OnePartition)
	group := h.Group("billing", func(group *v1alpha1.ConsumerGroup) { group.Spec.Lag.MaxRecords = new(int64(1)) })
	h.PassUntilReady(group)
	gate.Cut()
	h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonLagUnknown)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionFalse, kafka.Unreachable, "")
	gate.Reopen(t)
	h.PassUntil(group, v1alpha1.ConditionLagging, v1alpha1.ReasonWithinObjective)
	h.WantsReady(group)
}

// The Prometheus operator is uninstalled, and nobody has looked since.
func TestGroupAlertsOfAKindThatIsGone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	h.ReadyGroup("before", func(group *v1alpha1.ConsumerGroup) { group.Spec.Lag.MaxRecords = new(int64(5)) })
	h.Running.RuleKind.Served = func(string) (*metav1.APIResourceList, error) { return &metav1.APIResourceList{}, nil }
	// What the API server itself answers where it has no such kind.
	defer h.API.Breaking(func(request *http.Request) error {
		request.URL.Path = strings.ReplaceAll(request.URL.Path, "/prometheusrules/", "/gone/")
		return nil
	})()
	h.ReadyGroup("billing", func(group *v1alpha1.ConsumerGroup) { group.Spec.Lag.MaxRecords = new(int64(5)) })
	if h.Running.RuleKind.Present.Load() {
		t.Error("the kind counts as there")
	}
}

// A group that went without a pass, since somebody removed its finalizer or it had
// none, is not measured any more.
func TestGroupThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	h.ReadyTopic("orders")
	group := h.ReadyGroup("billing")
	key := client.ObjectKeyFromObject(group)
	measured := func() bool {
		_, known := h.Running.Collectors.Latest(cluster.Name, key)
		return known
	}
	if !measured() {
		t.Fatal("it is not measured")
	}
	h.Must(h.Live.Delete(t.Context(), group))
	h.Sync(group)
	_, err := h.Running.Group.Reconcile(t.Context(), harness.RequestOf(group))
	h.Must(err)
	if measured() {
		t.Error("it is still measured")
	}
}

func TestGroupAlerts(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	rule := func() *monitoringv1.PrometheusRule {
		t.Helper()
		var rule monitoringv1.PrometheusRule
		err := h.Live.Get(t.Context(), client.ObjectKey{Namespace: h.Namespace, Name: "weir-billing"}, &rule)
		h.Must(client.IgnoreNotFound(err))
		if err != nil {
			return nil
		}
		return &rule
	}
	h.Running.RuleKind.Present.Store(false)
	group := h.ReadyGroup("billing")
	h.Update(group, func() { group.Spec.Lag.MaxRecords = new(int64(5)) })
	h.PassUntilReady(group)
	if rule() != nil {
		t.Error("there is a PrometheusRule, though the API server is said to have no such kind")
	}

	h.Running.RuleKind.Look()
	h.Pass(group)
	h.Await(func() string {
		if rule() == nil {
			return "there is no PrometheusRule"
		}
		return ""
	})
	for what, change := range map[string]func(){
		"alerts.enabled is false": func() { group.Spec.Alerts.Enabled = new(false) },
		"there is no objective":   func() { group.Spec.Lag, group.Spec.Alerts.Enabled = v1alpha1.LagObjective{}, nil },
	} {
		h.Update(group, change)
		h.Await(func() string { // the cache may not know the rule yet
			h.Pass(group)
			if rule() != nil {
				return "there is a PrometheusRule, though " + what
			}
			return ""
		})
		h.Update(group, func() { group.Spec.Lag.MaxRecords, group.Spec.Alerts.Enabled = new(int64(5)), nil })
		h.Await(func() string {
			h.Pass(group)
			if rule() == nil {
				return "there is no PrometheusRule again"
			}
			return ""
		})
	}

	// A stranger's rule of that name is left alone.
	stranger := &monitoringv1.PrometheusRule{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "weir-other"}}
	h.Must(h.Live.Create(t.Context(), stranger))
	other := h.Group("other", func(group *v1alpha1.ConsumerGroup) { group.Spec.Lag.MaxRecords = new(int64(5)) })
	h.Await(func() string {
		h.Pass(other)
		if got := h.Condition(other, v1alpha1.ConditionStalled); got.Reason != v1alpha1.ReasonNameConflict {
			return fmt.Sprintf("Stalled is %q: %s", got.Reason, got.Message)
		}
		return ""
	})
	h.WantsStalled(other, v1alpha1.ReasonNameConflict, "PrometheusRule "+h.Namespace+"/weir-other exists and is not Weir's; delete or rename it")
}

func TestSuspendedGroupIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	h.ReadyTopic("orders")
	group := h.ReadyGroup("billing")
	id := group.Status.GroupID
	h.Update(group, func() { group.Spec.Suspend, group.Spec.Principal = true, "User:other" })
	h.Pass(group)
	h.Wants(group, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "nothing is touched")
	h.WantsBindings(id, kafka.ReadGroup("User:billing", id)...)
	h.Delete(group)
	h.WantsGone(group)
	h.WantsBindings(id, kafka.ReadGroup("User:billing", id)...)
}
