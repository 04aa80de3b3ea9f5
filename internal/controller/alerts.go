package controller

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

// alerts renders PrometheusRules, where the API server has that kind.
type alerts struct {
	children child.Applier
	kind     *prometheusRuleKind
}

// apply makes the PrometheusRule of a group what its spec asks for.
func (a alerts) apply(ctx context.Context, group *v1alpha1.ConsumerGroup) error {
	if !a.kind.present.Load() {
		return nil
	}
	objective := group.Spec.Lag.MaxTime != nil || group.Spec.Lag.MaxRecords != nil
	if enabled := group.Spec.Alerts.Enabled; (enabled != nil && !*enabled) || !objective {
		return a.children.Remove(ctx, group, &monitoringv1.PrometheusRule{
			ObjectMeta: metav1.ObjectMeta{Namespace: group.Namespace, Name: ruleName(group)},
		})
	}
	return a.children.Apply(ctx, group, renderAlerts(group), &monitoringv1.PrometheusRule{})
}

// prometheusRuleKind looks whether the API server has PrometheusRules: when
// the manager starts, and every interval, since the Prometheus operator may be
// installed later. It is a manager.Runnable.
type prometheusRuleKind struct {
	mapper   meta.RESTMapper
	interval time.Duration
	present  atomic.Bool
}

// Start looks until ctx ends.
func (k *prometheusRuleKind) Start(ctx context.Context) error {
	ticker := time.NewTicker(k.interval)
	defer ticker.Stop()
	for {
		k.look()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (k *prometheusRuleKind) look() {
	_, err := k.mapper.RESTMapping(schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}, "v1")
	if err == nil || meta.IsNoMatchError(err) {
		k.present.Store(err == nil)
	}
}
