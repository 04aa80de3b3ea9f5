package consumergroup

import (
	"fmt"
	"maps"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
	"github.com/weir-dev/weir/internal/controller/estate"
)

// runbook is where an alert sends its reader without alerts.runbookURL.
const runbook = "https://github.com/weir-dev/weir/blob/main/docs/consumergroup.md#lagging"

func ruleName(group *v1alpha1.ConsumerGroup) string { return "weir-" + group.Name }

// renderAlerts renders the alerting rules of a group.
func renderAlerts(group *v1alpha1.ConsumerGroup) *monitoringv1.PrometheusRule {
	labels := map[string]string{}
	maps.Copy(labels, group.Spec.Alerts.Labels)
	labels["severity"] = group.Spec.Alerts.Severity.Lag
	url := group.Spec.Alerts.RunbookURL
	if url == "" {
		url = runbook
	}
	rule := monitoringv1.Rule{
		Alert: "WeirConsumerGroupLagging",
		Expr: intstr.FromString(fmt.Sprintf("weir_consumergroup_slo_met{namespace=%q, name=%q} == 0",
			group.Namespace, group.Name)),
		Labels: labels,
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("Consumer group %s lags behind its objective", estate.GroupID(group)),
			"description": fmt.Sprintf("ConsumerGroup %s/%s misses its lag objective: %s.", group.Namespace, group.Name, objectiveWords(group.Spec.Lag)),
			"runbook_url": url,
		},
		KeepFiringFor: new(monitoringv1.NonEmptyDuration("1m")),
	}
	if group.Spec.Lag.For != nil && group.Spec.Lag.For.Duration > 0 {
		rule.For = new(monitoringv1.Duration(fmt.Sprintf("%dms", group.Spec.Lag.For.Milliseconds())))
	}
	return &monitoringv1.PrometheusRule{
		ObjectMeta: metav1.ObjectMeta{
			Name: ruleName(group), Namespace: group.Namespace,
			Labels: map[string]string{child.ManagedByLabel: child.ManagedBy, "app.kubernetes.io/name": "weir", "app.kubernetes.io/instance": group.Name},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(group, v1alpha1.GroupVersion.WithKind("ConsumerGroup")),
			},
		},
		Spec: monitoringv1.PrometheusRuleSpec{Groups: []monitoringv1.RuleGroup{{
			Name: fmt.Sprintf("weir.consumergroup.%s.%s", group.Namespace, group.Name), Rules: []monitoringv1.Rule{rule},
		}}},
	}
}

func objectiveWords(objective v1alpha1.LagObjective) string {
	switch {
	case objective.MaxTime != nil && objective.MaxRecords != nil:
		return fmt.Sprintf("no unread record older than %s, no more than %d unread", objective.MaxTime.Duration, *objective.MaxRecords)
	case objective.MaxTime != nil:
		return fmt.Sprintf("no unread record older than %s", objective.MaxTime.Duration)
	default:
		return fmt.Sprintf("no more than %d unread records", *objective.MaxRecords)
	}
}
