package httpserver

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/internal/relay/config"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total"})
	registry.MustRegister(counter)
	var notReady error
	server, err := Listen(t.Context(), "127.0.0.1:0", Endpoints{
		Ready:   func() error { return notReady },
		State:   func() any { return config.OutboxState{Name: "shop/orders", Phase: config.Active} },
		Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	get := func(path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + server.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	check := func(path string, code int, part string) {
		t.Helper()
		if gotCode, got := get(path); gotCode != code || !strings.Contains(got, part) {
			t.Errorf("GET %s: got %d %q, want %d and %q", path, gotCode, got, code, part)
		}
	}
	check("/healthz", http.StatusOK, "ok")
	check("/readyz", http.StatusOK, "ok")
	check("/state", http.StatusOK, `"phase": "Active"`)
	check("/metrics", http.StatusOK, "weir_test_total 0")
	check("/", http.StatusNotFound, "")
	notReady = errors.New("TableNotFound: no table")
	check("/readyz", http.StatusServiceUnavailable, "TableNotFound: no table")
	check("/healthz", http.StatusOK, "ok")

	if _, err := Listen(t.Context(), server.Addr().String(), Endpoints{Metrics: registry}); err == nil ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second server on the same address: %v", err)
	}
}
