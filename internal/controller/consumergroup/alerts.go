package consumergroup

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
)

// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=prometheusrules,verbs=get;list;watch;create;patch;delete

// Alerts renders PrometheusRules, where the API server has that kind.
type Alerts struct {
	Children child.Applier
	Kind     *RuleKind
}

// apply makes the PrometheusRule of a group what its spec asks for. Where the
// kind has gone with the Prometheus operator, there is nothing to do.
func (a Alerts) apply(ctx context.Context, group *v1alpha1.ConsumerGroup) error {
	if !a.Kind.Present.Load() {
		return nil
	}
	err := a.follow(ctx, group)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		if a.Kind.Look(); !a.Kind.Present.Load() {
			return nil
		}
	}
	return err
}

func (a Alerts) follow(ctx context.Context, group *v1alpha1.ConsumerGroup) error {
	objective := group.Spec.Lag.MaxTime != nil || group.Spec.Lag.MaxRecords != nil
	if enabled := group.Spec.Alerts.Enabled; (enabled != nil && !*enabled) || !objective {
		return a.Children.Remove(ctx, group, &monitoringv1.PrometheusRule{
			ObjectMeta: metav1.ObjectMeta{Namespace: group.Namespace, Name: ruleName(group)},
		})
	}
	return a.Children.Apply(ctx, group, renderAlerts(group), &monitoringv1.PrometheusRule{})
}

// RuleKind looks whether the API server has PrometheusRules: when the manager
// starts, and every interval, since the Prometheus operator may be installed, or
// removed, later. It is a manager.Runnable.
type RuleKind struct {
	// Served tells what the API server serves of a group and version now.
	Served   func(groupVersion string) (*metav1.APIResourceList, error)
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
	if present, err := HasRules(k.Served); err == nil {
		k.Present.Store(present)
	}
}

// HasRules says whether an API server has PrometheusRules, given what it serves
// of a group and version.
func HasRules(served func(groupVersion string) (*metav1.APIResourceList, error)) (bool, error) {
	list, err := served(monitoringv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list.APIResources, func(resource metav1.APIResource) bool {
		return resource.Kind == monitoringv1.PrometheusRuleKind
	}), nil
}
