package kubelet

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// scale is how many pods a ReplicaSet is to have and how many are available.
type scale struct{ replicas, available int32 }

// planRollout says how many pods the ReplicaSet of a Deployment's present
// template and those of former templates are to have now. Called again
// whenever pods became available or ended, it leads to want new pods and no
// old one, as Kubernetes' Deployment controller does.
func planRollout(strategy appsv1.DeploymentStrategy, want int32, current scale, former []scale) (int32, []int32) {
	plan := make([]int32, len(former))
	for i := range former {
		plan[i] = former[i].replicas
	}
	total, available := current.replicas, current.available
	for _, s := range former {
		total += s.replicas
		available += s.available
	}

	if strategy.Type == appsv1.RecreateDeploymentStrategyType {
		clear(plan)
		if total > current.replicas { // first the old ones go
			return current.replicas, plan
		}
		return want, plan
	}

	surge, unavailable := rollingLimits(strategy.RollingUpdate, want)
	next := min(current.replicas, want)
	if room := want + surge - total; room > 0 {
		next = min(want, current.replicas+room)
	}

	// Former pods go as far as enough others are there, broken ones first.
	least := want - unavailable
	spare := total - least - (current.replicas - current.available)
	for i := range plan {
		broken := max(0, min(plan[i]-former[i].available, spare))
		plan[i] -= broken
		spare -= broken
	}
	spare = min(spare, available-least)
	for i := range plan {
		working := max(0, min(plan[i], spare))
		plan[i] -= working
		spare -= working
	}
	return next, plan
}

// rollingLimits are maxSurge and maxUnavailable in pods; never both are zero.
func rollingLimits(rolling *appsv1.RollingUpdateDeployment, want int32) (surge, unavailable int32) {
	scaled := func(value *intstr.IntOrString, roundUp bool) int32 {
		quarter := intstr.FromString("25%")
		n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(value, quarter), int(want), roundUp)
		if err != nil { // the API server has validated it
			return 0
		}
		return int32(n)
	}
	if rolling == nil {
		rolling = &appsv1.RollingUpdateDeployment{}
	}
	surge, unavailable = scaled(rolling.MaxSurge, true), scaled(rolling.MaxUnavailable, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}
