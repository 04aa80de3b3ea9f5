package consumergroup

import (
	"context"
	"sync/atomic"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
)

// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=prometheusrules,verbs=get;list;watch;create;patch;delete

// Alerts renders PrometheusRules, where the API server has that kind.
type Alerts struct {
	Children child.Applier
	Kind     *RuleKind
}

// apply makes the PrometheusRule of a group what its spec asks for.
func (a Alerts) apply(ctx context.Context, group *v1alpha1.ConsumerGroup) error {
	if !a.Kind.Present.Load() {
		return nil
	}
	objective := group.Spec.Lag.MaxTime != nil || group.Spec.Lag.MaxRecords != nil
	if enabled := group.Spec.Alerts.Enabled; (enabled != nil && !*enabled) || !objective {
		return a.Children.Remove(ctx, group, &monitoringv1.PrometheusRule{
			ObjectMeta: metav1.ObjectMeta{Namespace: group.Namespace, Name: ruleName(group)},
		})
	}
	return a.Children.Apply(ctx, group, renderAlerts(group), &monitoringv1.PrometheusRule{})
}

// RuleKind looks whether the API server has PrometheusRules: when
// the manager starts, and every interval, since the Prometheus operator may be
// installed later. It is a manager.Runnable.
type RuleKind struct {
	Mapper   meta.RESTMapper
	Interval time.Duration
	Present  atomic.Bool
}

// Start looks until ctx ends.
func (k *RuleKind) Start(ctx context.Context) error {
	ticker := time.NewTicker(k.Interval)
	defer ticker.Stop()
	for {
		k.Look()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Look asks the API server whether it has the kind now.
func (k *RuleKind) Look() {
	_, err := k.Mapper.RESTMapping(schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}, "v1")
	if err == nil || meta.IsNoMatchError(err) {
		k.Present.Store(err == nil)
	}
}
