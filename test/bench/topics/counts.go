package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

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
	sum := counts{requests: map[string]float64{}}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		sum.requests[fmt.Sprintf("%s %s/%s %s", labels["verb"], labels["resource"], labels["subresource"], labels["code"])] += metric.GetCounter().GetValue()
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

// sayRequests tells what the API server was asked most between two counts.
func sayRequests(before, after counts) {
	type line struct {
		request string
		n       float64
	}
	var all []line
	for request, n := range after.requests {
		if n -= before.requests[request]; n >= 20 {
			all = append(all, line{request, n})
		}
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Compare(b.n, a.n) })
	for _, one := range all {
		say("  %6.0f %s", one.n, one.request)
	}
}
