package lagging

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// cutKey splits "namespace/name".
func cutKey(key string) (namespace, name string, ok bool) { return strings.Cut(key, "/") }

var (
	partitionLabels = []string{"cluster", "namespace", "name", "group", "topic", "partition"}
	groupLabels     = []string{"cluster", "namespace", "name", "group"}

	lagDesc = prometheus.NewDesc("kafka_consumergroup_group_lag",
		"Unread records of a consumer group on a partition.", partitionLabels, nil)
	lagSecondsDesc = prometheus.NewDesc("kafka_consumergroup_group_lag_seconds",
		"Age of the oldest unread record of a consumer group on a partition, in seconds.", partitionLabels, nil)
	maxLagSecondsDesc = prometheus.NewDesc("kafka_consumergroup_group_max_lag_seconds",
		"Age of the oldest unread record of a consumer group, in seconds.", groupLabels, nil)
	sumLagDesc = prometheus.NewDesc("kafka_consumergroup_group_sum_lag",
		"Unread records of a consumer group.", groupLabels, nil)
	objectiveDesc = prometheus.NewDesc("weir_consumergroup_slo_met",
		"1 while the group meets its lag objective, 0 while it misses it; absent while that is not known.", groupLabels, nil)
)

// Metrics serves the last reports from memory. Series vanish with the
// resource, and values that are not known are left out.
type Metrics struct {
	From *Collectors
}

// Describe implements prometheus.Collector.
func (m Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{lagDesc, lagSecondsDesc, maxLagSecondsDesc, sumLagDesc, objectiveDesc} {
		descriptions <- desc
	}
}

// Collect implements prometheus.Collector.
func (m Metrics) Collect(metrics chan<- prometheus.Metric) {
	for cluster, reports := range m.From.Reports() {
		for key, report := range reports {
			if !report.Fresh() {
				continue
			}
			namespace, name, _ := cutKey(key)
			labels := []string{cluster, namespace, name, report.Spec.Group}
			gauge := func(desc *prometheus.Desc, value float64, more ...string) {
				metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append(labels[:4:4], more...)...)
			}
			for _, partition := range report.Partitions {
				number := strconv.Itoa(int(partition.Partition))
				gauge(lagDesc, float64(partition.Records), partition.Topic, number)
				gauge(lagSecondsDesc, partition.Seconds, partition.Topic, number)
			}
			gauge(sumLagDesc, float64(report.Records))
			gauge(maxLagSecondsDesc, report.Seconds)
			if report.Spec.MaxTime > 0 || report.Spec.MaxRecords > 0 {
				met := 1.0
				if report.Over() {
					met = 0
				}
				gauge(objectiveDesc, met)
			}
		}
	}
}
