// Package kafka is the seam between Weir and a Kafka cluster: connect,
// observe, plan, apply, and one place that decides what an error means.
//
//	observed ─▶ Topic ─────┐
//	                       ├─ PlanTopic ─▶ []Change ─▶ applied     (EnsureTopic)
//	      spec ─▶ TopicSpec ┘
//
// Plans are pure functions over plain values. Observing and applying is
// batched inside the package: callers ask for one topic or one binding, and
// calls made while a request is under way share the next one. Every operation
// is idempotent, so that a pass which was cut short is simply made again.
//
// The package refuses to guess. It never shrinks a topic, never changes the
// number of replicas, never resets a config key that has not the value which we
// set, never touches a topic of Kafka's own, never removes an ACL binding that
// was not recorded as ours, and never takes an unknown error for a final one. It
// produces and consumes no records and knows nothing of Kubernetes.
package kafka
