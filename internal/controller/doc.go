// Package controller puts the operator together: the reconcilers, what wakes
// which of them, and the sweep that finds drift. What it puts together lies in
// the packages below, which import downwards only:
//
//	controller
//	kafkacluster  topic  outboxrelay  consumergroup  deadletterpolicy
//	estate
//	grants  worker  release
//	record  names  policy  pool  child  lagging  ensure
//	settle
//	halt
//
// Every pass of a reconciler has one shape:
//
//	resource ─▶ want ─┐
//	                  ├─ plan ─▶ apply ─▶ settle: conditions, one status patch, Result
//	Kafka ───▶ have ──┘
//
// It returns an error that says how it ended (package halt), and package settle
// alone turns that into conditions. Status is a report, never authority: what Weir
// owns is in its record, which package estate opens for each Kafka cluster.
// docs/architecture.md tells more.
package controller
