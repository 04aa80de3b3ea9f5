package lagging

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/lag"
)

// fixedSource shows one group that is 7 records behind on a partition of two.
// It implements lag.Source.
type fixedSource struct{}

func (fixedSource) DescribeGroups(context.Context, []string) map[string]lag.Group {
	return map[string]lag.Group{"billing": {State: "Stable", Type: "Consumer", Members: 1}}
}

func (fixedSource) CommittedOffsets(context.Context, []string) map[string]lag.Commits {
	return map[string]lag.Commits{
		"billing": {Offsets: map[lag.Partition]int64{{Topic: "orders"}: 3, {Topic: "orders", Partition: 1}: 5}},
		"unknown": {Err: &kafka.Error{Reason: kafka.Unreachable, Message: "no broker answers"}},
	}
}

func (fixedSource) PartitionOffsets(_ context.Context, at map[string][]time.Time) map[string]lag.Topic {
	caughtUp, behind := lag.Offsets{End: 5}, lag.Offsets{End: 10}
	for range at["orders"] { // every unread record is older than all that is asked for
		caughtUp.After, behind.After = append(caughtUp.After, 5), append(behind.After, 10)
	}
	return map[string]lag.Topic{"orders": {Partitions: []lag.Offsets{behind, caughtUp}}}
}

func TestLagMetrics(t *testing.T) {
	t.Parallel()
	c := New(nil, time.Hour, nil)
	collector := lag.New(fixedSource{}, 10*time.Millisecond, func(string) {})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.running["main"] = &running{Collector: collector}
	collector.Set("finance/billing", lag.Spec{Group: "billing", Topics: []string{"orders"}, MaxRecords: 5})
	collector.Set("finance/audit", lag.Spec{Group: "billing", Topics: []string{"orders"}})
	collector.Set("finance/unknown", lag.Spec{Group: "unknown", Topics: []string{"orders"}, MaxRecords: 5})
	go collector.Run(ctx)
	deadline := time.After(10 * time.Second)
	for len(c.Reports()["main"]) < 3 {
		select {
		case <-deadline:
			t.Fatal("the collector measures nothing")
		case <-time.After(time.Millisecond):
		}
	}
	registry := prometheus.NewPedanticRegistry() // it checks what is served against Describe
	registry.MustRegister(Metrics{c})
	const audit, billing = `cluster="main" group="billing" name="audit" namespace="finance"`, `cluster="main" group="billing" name="billing" namespace="finance"`
	want := []string{
		"kafka_consumergroup_group_lag " + audit + ` partition="0" topic="orders": 7`,
		"kafka_consumergroup_group_lag " + audit + ` partition="1" topic="orders": 0`,
		"kafka_consumergroup_group_lag " + billing + ` partition="0" topic="orders": 7`,
		"kafka_consumergroup_group_lag " + billing + ` partition="1" topic="orders": 0`,
		"kafka_consumergroup_group_sum_lag " + audit + ": 7",
		"kafka_consumergroup_group_sum_lag " + billing + ": 7",
		"weir_consumergroup_slo_met " + billing + ": 0", // the other one has no objective
	}
	if diff := cmp.Diff(want, series(t, registry)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	collector.Remove("finance/billing")
	collector.Remove("finance/audit")
	if left := series(t, registry); left != nil {
		t.Errorf("series are left of groups that are gone: %v", left)
	}
}

// series are the values of a registry, one line each, but for those in seconds,
// which depend on the time.
func series(t *testing.T, registry *prometheus.Registry) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "_seconds") {
			continue
		}
		for _, one := range family.GetMetric() {
			line := family.GetName()
			for _, label := range one.GetLabel() {
				line += fmt.Sprintf(" %s=%q", label.GetName(), label.GetValue())
			}
			lines = append(lines, fmt.Sprintf("%s: %v", line, one.GetGauge().GetValue()))
		}
	}
	return lines
}
