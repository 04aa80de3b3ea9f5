package topic_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
)

// A binding of somebody else's that denies what a Topic grants is told, with its
// line, and left alone.
func TestDeniedAccess(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	cluster := h.Cluster()
	topic := h.ReadyTopic("orders", harness.WithAccess)
	h.Wants(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced, "")
	name, principal := topic.Status.TopicName, topic.Spec.Access[0].Principal
	admin := kadm.NewClient(h.Kafka.Client(t, h.Kafka.Admin))
	denial := kadm.NewACLs().Topics(name).Deny(principal).DenyHosts("*").Operations(kadm.OpAll).ResourcePatternType(kadm.ACLPatternLiteral)
	results, err := admin.CreateACLs(t.Context(), denial)
	h.Must(err)
	h.Must(results[0].Err)

	sweep := func(reason string) {
		t.Helper()
		h.Await(func() string {
			h.Running.Estates.Of(cluster.Name).Sweep()
			h.Pass(topic)
			if condition := h.Condition(topic, v1alpha1.ConditionAccessEnforced); condition.Reason != reason {
				return "AccessEnforced is " + condition.Reason + ": " + condition.Message
			}
			return ""
		})
	}
	sweep(v1alpha1.ReasonDenied)
	h.WantsReady(topic)
	h.Wants(topic, v1alpha1.ConditionAccessEnforced, metav1.ConditionFalse, v1alpha1.ReasonDenied,
		"somebody denies in Kafka what is granted here, which Weir does not touch: DENY "+principal+" * ALL Topic Literal "+name)
	shown, err := admin.DescribeACLs(t.Context(), denial)
	h.Must(err)
	if len(shown) != 1 || len(shown[0].Described) != 1 {
		t.Errorf("the denial is %+v", shown)
	}

	_, err = admin.DeleteACLs(t.Context(), denial)
	h.Must(err)
	sweep(v1alpha1.ReasonEnforced)
}
