package consumergroup

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness/golden"
)

func TestRenderAlerts(t *testing.T) {
	t.Parallel()
	group := func(change func(*v1alpha1.ConsumerGroup)) *v1alpha1.ConsumerGroup {
		group := &v1alpha1.ConsumerGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: "finance", Name: "billing", UID: "group-uid"},
			Spec: v1alpha1.ConsumerGroupSpec{
				Lag:    v1alpha1.LagObjective{MaxTime: &metav1.Duration{Duration: time.Minute}},
				Alerts: v1alpha1.Alerts{Severity: v1alpha1.AlertSeverity{Lag: "warning"}},
			},
		}
		change(group)
		return group
	}
	golden.Compare(t, "alerts",
		renderAlerts(group(func(*v1alpha1.ConsumerGroup) {})),
		renderAlerts(group(func(group *v1alpha1.ConsumerGroup) {
			group.Spec.GroupID = "billing-v2"
			group.Spec.Lag = v1alpha1.LagObjective{
				MaxTime: &metav1.Duration{Duration: time.Minute}, MaxRecords: new(int64(1000)), For: &metav1.Duration{Duration: 90 * time.Second},
			}
			group.Spec.Alerts.Labels = map[string]string{"team": "finance"}
			group.Spec.Alerts.RunbookURL = "https://runbooks.example.com/billing"
		})),
		renderAlerts(group(func(group *v1alpha1.ConsumerGroup) {
			group.Spec.Lag = v1alpha1.LagObjective{MaxRecords: new(int64(1))}
			group.Spec.Alerts.Severity.Lag = "critical"
		})),
	)
}
