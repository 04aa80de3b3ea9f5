// Package controller makes Kafka and the workers follow the resources:
//
//	resource ─▶ want ─┐
//	                  ├─ plan ─▶ record ─▶ apply ─▶ settle: conditions, one status patch, Result
//	Kafka ───▶ have ──┘
//
// There is one reconciler a kind. Each returns an error that says how its pass
// ended (halt.go), and settle alone turns that into conditions and writes
// status. What Weir is about to create in Kafka is recorded in status first,
// so that a crash between the two can never leave something of ours that we do
// not know of. Decisions live in pure functions and in internal/kafka,
// internal/lag and internal/deadletter; renderers (*_render.go) are pure too.
package controller
