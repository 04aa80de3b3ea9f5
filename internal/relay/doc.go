// Package relay moves records from a source to Kafka and settles them there:
//
//	source.Next ─▶ waiting ─▶ one flight in the air ─▶ outcomes ─▶ source.Acknowledge
//	    ▲     reads the next and settles the last while it is        │            │
//	    │                                                            ▼            ▼
//	    └──────────────── Rewind ◀── a topic is held (holds) ◀── failed      ledger ─▶ settled
//
// One engine serves every source: an outbox table (relay/postgres) and the
// topics of the retry lanes (relay/retry). It is not a stream processor: it
// neither joins, filters nor changes records, and it knows nothing of tables.
//
// What fails holds its topic, and nothing else: its records are read again when the
// topic is tried again, and those of other topics go on meanwhile. Where a broker
// refuses a flight, half of the records fly next, until the one that is to blame
// is refused alone (Engine.fail).
//
// # The laws
//
// Each has a test that fails when its line is broken.
//
//  1. A row is settled only after the broker acknowledged its record. The sink
//     asks for acks=all of an idempotent producer (kafkasink.New), and a source
//     settles what Engine.acknowledge told it, never what was sent.
//  2. The zero outcome means "try again" (flight.go): a record of which nobody
//     said anything never counts as published.
//  3. Order per key: a flight is in the client's hands as a whole before its first
//     byte is sent (kafkasink.Sink.Send), so that nothing is published past a record
//     of its partition that failed; and what follows one that failed waits with it
//     for their topic (holds).
//  4. On shutdown everything acknowledged is settled: the engine waits for
//     what is in flight (Engine.drain, DrainTimeout) and settles with a context of
//     its own (Engine.settle), before the source lets its lock go.
//  5. Everything is bounded: a flight in rows (Source) and bytes
//     (postgres.maxBatchBytes), one in the air and one that waits, what waits for
//     topics that are held (mostAside), what cannot be settled (postgres.mostOwed),
//     the pauses (backoff.go).
//  6. One active relay per outbox: the lock is held by the session that reads
//     and settles (postgres.Session.TryLock). Engine.look asks it once a second
//     whether it still lives, and its loss ends the run.
//  7. Delivery is at least once. While a process lives it publishes nothing again
//     that was acknowledged, whatever becomes of its sessions (Ledger); a crash
//     between acknowledgement and settling does, with the same id header
//     (row.Encoder).
//  8. Readiness tells the truth: progress, or nothing to do (Health.Ready,
//     fed by Engine.assess).
package relay
