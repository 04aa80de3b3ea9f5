package harness

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Record are the ConfigMaps with what this test's operator has recorded of Kafka
// clusters: logs, and the parts of their bases.
func (h *Harness) Record() []corev1.ConfigMap {
	h.Helper()
	var all corev1.ConfigMapList
	h.Must(h.Live.List(h.Context(), &all, client.InNamespace(h.Operator)))
	return slices.DeleteFunc(all.Items, func(one corev1.ConfigMap) bool { return !strings.HasPrefix(one.Name, "weir-record-") })
}

// RecordLog is the log of the one record that there is.
func (h *Harness) RecordLog() *corev1.ConfigMap {
	h.Helper()
	for _, one := range h.Record() {
		if one.Data["writer"] != "" {
			return &one
		}
	}
	h.Fatal("there is no record")
	return nil
}
