// Package grants decides which ACL bindings a Kafka cluster gets and loses: the
// union of what all resources want, against what the record says is Weir's and
// what the broker shows.
//
//	wants ─┐
//	record ┼▶ PlanGrants ─▶ Before: stored ahead ─▶ Add, then Remove
//	broker ┘
//
// Bindings that are not in the record are somebody else's and are never touched.
package grants
