package kafkacluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/kafka"
)

// annotate sets an annotation of a KafkaCluster and makes a pass over it.
func annotate(h *harness.Harness, cluster *v1alpha1.KafkaCluster, key, value string) {
	h.Helper()
	h.Update(cluster, func() { metav1.SetMetaDataAnnotation(&cluster.ObjectMeta, key, value) })
	_, _ = h.Pass(cluster) // its conditions say more
}

// Many removals that follow from somebody else's change wait for the platform's
// word, which has to name just these.
func TestRemovalHeld(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	label := func(value string) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Namespace}}
		h.Update(namespace, func() { metav1.SetMetaDataLabel(&namespace.ObjectMeta, "kafka", value) })
	}
	label("yes")
	cluster := h.Cluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Namespaces = v1alpha1.ClusterNamespaces{From: v1alpha1.FromSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kafka": "yes"}}}
	})
	const users = 21
	topic := h.ReadyTopic("orders", func(topic *v1alpha1.Topic) {
		for i := range users {
			topic.Spec.Access = append(topic.Spec.Access, v1alpha1.Access{Principal: fmt.Sprint("User:", i), Allow: []v1alpha1.Right{v1alpha1.Produce}})
		}
	})
	var all []kafka.Binding
	for i := range users {
		all = append(all, kafka.Produce(fmt.Sprint("User:", i), topic.Status.TopicName)...)
	}
	h.WantsBindings(topic.Status.TopicName, all...)

	label("no")
	_, _ = h.Pass(topic)
	h.WantsStalled(topic, v1alpha1.ReasonNamespaceRefused, "does not admit namespace")
	h.PassUntil(cluster, v1alpha1.ConditionRemovalHeld, v1alpha1.ReasonBrake)
	h.Wants(cluster, v1alpha1.ConditionRemovalHeld, metav1.ConditionTrue, v1alpha1.ReasonBrake,
		"the removal of 21 ACL bindings is held, since nobody asked for it: other objects changed: a selector, the labels of a namespace, or this KafkaCluster; to let exactly these go, annotate this KafkaCluster with weir.dev/release-removals=")
	h.WantsReady(cluster)
	wantsPending(h, cluster, users)
	digest := regexp.MustCompile(`release-removals=([0-9a-f]+)$`).FindStringSubmatch(h.Condition(cluster, v1alpha1.ConditionRemovalHeld).Message)
	if digest == nil {
		t.Fatalf("no digest in %q", h.Condition(cluster, v1alpha1.ConditionRemovalHeld).Message)
	}
	annotate(h, cluster, v1alpha1.ReleaseAnnotation, "0123456789ab")
	h.Wants(cluster, v1alpha1.ConditionRemovalHeld, metav1.ConditionTrue, v1alpha1.ReasonBrake, digest[1])
	h.WantsBindings(topic.Status.TopicName, all...)

	annotate(h, cluster, v1alpha1.ReleaseAnnotation, digest[1])
	h.WantsBindings(topic.Status.TopicName)
	h.PassUntil(cluster, v1alpha1.ConditionRemovalHeld, "")
	wantsPending(h, cluster, 0)
}

// wantsPending makes passes until so many removals are pending.
func wantsPending(h *harness.Harness, cluster *v1alpha1.KafkaCluster, want int32) {
	h.Helper()
	h.Await(func() string {
		_, _ = h.Pass(cluster)
		if got := cluster.Status.PendingRemovals; got != want {
			return fmt.Sprintf("%d removals are pending, want %d", got, want)
		}
		return ""
	})
}

// In another Kubernetes cluster than the one that wrote the record nothing is
// deleted, until the KafkaCluster names that one.
func TestRecordElsewhere(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess, harness.DeleteData)
	const writer = "3c5e6f0a-0000-4000-8000-000000000000"
	h.Restart(func() {
		log := h.RecordLog()
		log.Data["writer"] = writer
		h.Must(h.Live.Update(t.Context(), log))
	})
	h.Sync(cluster)
	h.Wants(cluster, v1alpha1.ConditionRecordElsewhere, metav1.ConditionTrue, v1alpha1.ReasonOtherKubernetes,
		"another Kubernetes cluster ("+writer+") wrote the record of what Weir owns here: nothing is removed or deleted; where that one does not manage this Kafka any more, annotate this KafkaCluster with weir.dev/take-record="+writer)
	h.PassUntilReady(topic)
	h.Delete(topic)
	for _, wrong := range []string{"", "another"} {
		if wrong != "" {
			annotate(h, cluster, v1alpha1.TakeRecordAnnotation, wrong)
		}
		_, _ = h.Pass(topic)
		h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonOtherKubernetes,
			`another Kubernetes cluster wrote the record of KafkaCluster "`+cluster.Name+`", whose owner has to decide; see its condition RecordElsewhere`)
		if found, err := h.Admin().ObserveTopic(t.Context(), topic.Status.TopicName); err != nil || !found.Exists {
			t.Fatalf("the topic is %+v, %v", found, err)
		}
	}
	annotate(h, cluster, v1alpha1.TakeRecordAnnotation, writer)
	h.PassUntil(cluster, v1alpha1.ConditionRecordElsewhere, "")
	h.WantsGone(topic)
	h.WantsBindings(topic.Status.TopicName)
	h.Restart()
	h.Sync(cluster)
	h.Wants(cluster, v1alpha1.ConditionRecordElsewhere, "", "", "")
}

// What cannot be recorded is not made.
func TestRecordNotStored(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	h.ReadyTopic("payments")
	restore := h.API.Breaking(func(request *http.Request) error {
		if strings.Contains(request.URL.Path, "/configmaps") {
			return errors.New("etcdserver: mvcc: database space exceeded")
		}
		return nil
	})
	topic := h.Topic("orders", harness.WithAccess)
	h.PassUntil(topic, v1alpha1.ConditionReady, v1alpha1.ReasonRecordNotStored)
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRecordNotStored,
		"what Weir owns cannot be stored in the operator's namespace: ")
	h.PassUntil(cluster, v1alpha1.ConditionReady, v1alpha1.ReasonRecordNotStored)
	h.Wants(cluster, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRecordNotStored, "database space exceeded")
	h.WantsBindings(topic.Status.TopicName)
	restore()
	h.PassUntilReady(cluster)
	h.PassUntilReady(topic)
	h.WantsBindings(topic.Status.TopicName, kafka.Produce("User:checkout", topic.Status.TopicName)...)
}

// While the operator runs, a record that somebody deletes is written again, whole;
// where it is gone at a start, what is declared counts as made by Weir.
func TestRecordRebuilt(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	stranger := kafka.Produce("User:stranger", topic.Status.TopicName)
	h.Must(errors.Join(h.Admin().CreateBindings(t.Context(), stranger)...))
	checkout := kafka.Produce("User:checkout", topic.Status.TopicName)
	h.Must(h.Live.Delete(t.Context(), h.RecordLog()))
	h.ReadyTopic("payments", harness.WithAccess) // it is stored with the next grant
	h.Restart()
	h.Events.Take()
	h.Restart(func() { h.Must(h.Live.Delete(t.Context(), h.RecordLog())) })
	h.WantsEvents("KafkaCluster/" + cluster.Name + " RecordRebuilt Rebuild: the record of what Weir owns on this cluster is lost: what resources declare now counts as made by Weir, and what nobody declares is left alone")
	h.PassUntilReady(topic)
	h.WantsBindings(topic.Status.TopicName, append(stranger, checkout...)...)
	h.Update(topic, func() { topic.Spec.Access = nil })
	h.PassUntilReady(topic)
	h.WantsBindings(topic.Status.TopicName, stranger...)
}

// An operator that does not lead any more does no harm: it learns of its successor
// before a topic is deleted, and has to end.
func TestFencedOperatorEnds(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Cluster()
	topic := h.ReadyTopic("orders", harness.DeleteData)
	h.Deposed.Store(true)
	log := h.RecordLog()
	log.Data["keeper"] = "the successor"
	h.Must(h.Live.Update(t.Context(), log))
	h.Delete(topic)
	_, _ = h.Pass(topic)
	if !h.Ended.Load() {
		t.Error("the operator was not told to end")
	}
	h.Wants(topic, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRecordNotStored, "another process holds the lease of the operator")
	if found, err := h.Admin().ObserveTopic(t.Context(), topic.Status.TopicName); err != nil || !found.Exists {
		t.Errorf("the topic is %+v, %v", found, err)
	}
}
