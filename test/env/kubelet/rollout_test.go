package kubelet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestPlanRollout(t *testing.T) {
	t.Parallel()
	rolling := func(surge, unavailable int) appsv1.DeploymentStrategy {
		return appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: ptr.To(intstr.FromInt(surge)), MaxUnavailable: ptr.To(intstr.FromInt(unavailable)),
		}}
	}
	recreate := appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	for name, test := range map[string]struct {
		strategy   appsv1.DeploymentStrategy
		want       int32
		current    scale
		former     []scale
		next       int32
		formerNext []int32
	}{
		"the first pods come at once":                       {rolling(1, 0), 3, scale{}, nil, 3, nil},
		"a surge of one brings one new pod":                 {rolling(1, 0), 2, scale{}, []scale{{2, 2}}, 1, []int32{2}},
		"an old pod stays while the new one is not up":      {rolling(1, 0), 2, scale{1, 0}, []scale{{2, 2}}, 1, []int32{2}},
		"an old pod goes when the new one is up":            {rolling(1, 0), 2, scale{1, 1}, []scale{{2, 2}}, 1, []int32{1}},
		"without surge an old pod goes first":               {rolling(0, 1), 2, scale{}, []scale{{2, 2}}, 0, []int32{1}},
		"a broken old pod goes at once":                     {rolling(1, 1), 2, scale{1, 0}, []scale{{2, 1}}, 1, []int32{1}},
		"broken new pods do not cost a working old one":     {rolling(1, 0), 1, scale{1, 0}, []scale{{1, 1}}, 1, []int32{1}},
		"scaling down takes new pods when there are no old": {rolling(1, 0), 1, scale{3, 3}, nil, 1, nil},
		"recreate waits for the old pods to end":            {recreate, 2, scale{}, []scale{{2, 2}}, 0, []int32{0}},
		"recreate then brings the new ones":                 {recreate, 2, scale{}, []scale{{0, 0}}, 2, []int32{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next, formerNext := planRollout(test.strategy, test.want, test.current, test.former)
			if next != test.next {
				t.Errorf("new pods: got %d, want %d", next, test.next)
			}
			if diff := cmp.Diff(test.formerNext, formerNext, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("old pods (-want +got):\n%s", diff)
			}
		})
	}
}
