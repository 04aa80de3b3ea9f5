// Package httpserver serves what every worker tells about itself, on one port:
// /healthz, /readyz, /metrics and /state.
package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-dev/weir/internal/relay/config"
)

// Endpoints is what the server asks. All of it must be safe for concurrent use.
type Endpoints struct {
	// Ready returns why the worker is not ready, nil if it is.
	Ready func() error
	// State returns what /state shows, as JSON.
	State func() any
	// Metrics is gathered by /metrics.
	Metrics prometheus.Gatherer
}

// Server is a listening server. Close it.
type Server struct {
	http   *http.Server
	addr   net.Addr
	served chan error
}

// Listen starts serving on addr (host:port; port 0 picks a free one).
func Listen(ctx context.Context, addr string, e Endpoints) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", addr, err)
	}
	s := &Server{
		http:   &http.Server{Handler: handler(e), ReadHeaderTimeout: 5 * time.Second},
		addr:   listener.Addr(),
		served: make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.addr }

// Close stops the server, letting requests finish for a second. It returns
// what ended the server earlier, if anything did.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	shutdown := s.http.Shutdown(ctx)
	if errors.Is(shutdown, context.DeadlineExceeded) {
		shutdown = s.http.Close()
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return shutdown
}

func handler(e Endpoints) http.Handler {
	mux := http.NewServeMux()
	// Alive means that the process answers; what troubles it is readiness,
	// because a restart cures neither a broker nor a row.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := e.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET "+config.StatePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(e.State()) // the client went away: nobody left to tell
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.Metrics, promhttp.HandlerOpts{}))
	return mux
}
