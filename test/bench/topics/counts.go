package main

import (
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// countWrites sums up the requests that change something about Topics, and the
// events, from the metrics of an API server.
func countWrites(from io.Reader) (counts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(from)
	if err != nil {
		return counts{}, fmt.Errorf("the API server's metrics: %w", err)
	}
	var sum counts
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE":
		default:
			continue
		}
		switch labels["resource"] {
		case "topics":
			sum.writes += metric.GetCounter().GetValue()
		case "events":
			sum.writes += metric.GetCounter().GetValue()
			sum.events += metric.GetCounter().GetValue()
		}
	}
	return sum, nil
}
