// Package controller puts the operator together: the reconcilers, what wakes
// which of them, and the sweep that finds drift. What it puts together lies in
// the packages below, which import downwards only:
//
//	controller
//	kafkacluster  topic  outboxrelay  consumergroup  deadletterpolicy
//	ledger  worker  release
//	claims  pool  child  lagging  ensure
//	settle
//	halt
//
// Every pass of a reconciler has one shape:
//
//	resource ─▶ want ─┐
//	                  ├─ plan ─▶ record ─▶ apply ─▶ settle: conditions, one status patch, Result
//	Kafka ───▶ have ──┘
//
// It returns an error that says how it ended (package halt), and package settle
// alone turns that into conditions. What Weir is about to create in Kafka is
// recorded in status first, so that a crash between the two can never leave
// something of Weir's that it does not know of. docs/architecture.md tells more.
package controller
