// Package relay moves records from a source to Kafka and settles them there:
//
//	source.Next ─▶ records ─▶ produce ─▶ acknowledged prefix ─▶ source.Settle
//
// One engine serves every source: an outbox table (relay/postgres) and the
// topics of the retry lanes (relay/retry). It is not a stream processor: it
// neither joins, filters nor changes records, and it knows nothing of tables.
//
// # The laws
//
// Each has a test that fails when its line is broken.
//
//  1. A row is settled only after the broker acknowledged its record. The sink
//     asks for acks=all of an idempotent producer (kafkasink.New), and Engine.Run settles
//     what Engine.publish counted, never what it produced.
//  2. The zero outcome means "try again" (tryAgain in flight.go): forgetting to
//     judge a record never counts it as published.
//  3. Order per key: what is settled is an acknowledged prefix
//     (flight.acknowledged), and the first failure calls off all that follows
//     it (flight.judge), so nothing is published past a record that failed.
//  4. On shutdown everything acknowledged is settled: the engine waits for
//     what is in flight (Engine.await, DrainTimeout) and settles with a context of
//     its own (Engine.settle), before the source lets its lock go.
//  5. Everything is bounded: a batch in rows (Source) and bytes
//     (postgres.maxBatchBytes), one batch in flight, the pauses (backoff.go).
//  6. One active relay per outbox: the lock is held by the session that reads
//     and settles (postgres.Session.TryLock). Engine.await asks it once a second
//     whether it still lives, and its loss ends the run.
//  7. Delivery is at least once: a crash between acknowledgement and settling
//     publishes again, with the same id header (row.Encoder).
//  8. Readiness tells the truth: progress, or nothing to do (Health.Ready,
//     fed by Engine.Run and, while nothing is acknowledged, by Engine.await).
package relay
