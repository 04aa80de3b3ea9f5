// Package deadletter is the protocol of retry and dead letters, without Kafka:
// the names of a group's topics, the schedule of a policy, the headers, and
// what becomes of a failed record.
//
//	             ┌── Schedule(policy) ──▶ delays
//	policy ──────┤                          │
//	             └── permanent errors ──┐   │
//	                                    ▼   ▼
//	<group>.failed ── record, now ─▶   Judge   ─▶ wait k until t      ─▶ <group>.wait.k
//	                                           └▶ dead letter, reason ─▶ <group>.dlt
//
//	<group>.wait.k ── record ─▶ Due ─▶ when it goes to <group>.retry, unchanged
//
// # What the service does
//
// It reads its source topics and <group>.retry. A record that it cannot
// process it produces to <group>.failed as it is: key, value and all headers,
// with the headers weir-error-class and weir-error-message appended. Where the
// record came from a source topic it should add weir-original-topic,
// -partition, -offset and -timestamp, since only the service knows them; a
// record from <group>.retry has them already.
//
// The headers of a retried record must be copied: weir-attempt counts in
// them, and a record without any of Weir's headers is a first failure.
//
// # Headers
//
// Values are text: numbers in decimal, times in RFC 3339 with milliseconds in
// UTC. Where a header repeats, the last one counts, because a service appends.
// Headers that are not listed in this package stay as they are and in order;
// Weir's own follow them, each once. Key and value are never touched.
//
// The package imports the standard library only and starts no goroutines;
// everything in it is a function of its arguments.
package deadletter
