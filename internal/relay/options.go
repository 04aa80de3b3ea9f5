package relay

import "log/slog"

// Options is what every worker's Run takes.
type Options struct {
	// Dir holds the worker's configuration and its Secrets (package config).
	Dir string
	// Listen is the address of /healthz, /readyz, /metrics and /state.
	Listen string
	// Log receives structured logs; never a secret.
	Log *slog.Logger
}
