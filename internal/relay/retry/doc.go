// Package retry is the worker behind `relay retry`: it moves the failed
// records of all consumer groups of a cluster by the protocol of
// internal/deadletter.
//
//	<group>.failed ──▶ lane ─ Judge ─▶ engine ─▶ <group>.wait.k or <group>.dlt
//	<group>.wait.k ──▶ lane ─ sleep ─▶ engine ─▶ <group>.retry
//	                    ▲                 │
//	    poll ───────────┘                 └─▶ offsets ─▶ commit
//
// The workers of a cluster are one Kafka consumer group. Each assigned
// partition is a lane: a bounded queue that is the relay.Source of an engine
// of its own, so a lane that sleeps, or cannot produce, holds no other. A
// lane that has enough pauses its partition. Nothing is polled hot: a lane
// sleeps until its head is due.
//
// # Laws
//
// Those of package relay hold: the engine settles an acknowledged prefix, and
// settling marks the offset behind it (lane.Settle). What is marked is
// committed ten times a second, when a partition is revoked (after its lane
// has finished) and at the end. Settling is thus durable a little later than
// the engine believes; a crash in between moves some records twice, with the
// same weir-original headers. Delivery is at least once. Exactly once between
// topics would need one transactional producer for each lane.
//
// Order per key holds within each lane of a group: the key decides the
// partition, and a record never overtakes one before it. So a record waits
// at least for the one in front of it: with jitter, and after a delay was
// made shorter, it may be later than its own weir-not-before. It is never
// earlier, as far as the workers' clocks agree, and stays reachable by its
// topic whatever becomes of the schedule.
//
// # Configuration
//
// The file is read again each second. New groups and changed policies take
// effect in place; a group that left, or another cluster, ends the session,
// which drains, leaves the consumer group and begins again. A file that cannot
// be used changes nothing and is told as a problem.
package retry
