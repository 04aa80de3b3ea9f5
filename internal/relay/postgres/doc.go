// Package postgres captures an outbox table by polling: it reads rows in the
// order of their sequence column, and settles them by deleting or marking
// them once their records are acknowledged.
//
//	Connect ─▶ Session ─▶ Preflight ─▶ Table ─▶ TryLock ─▶ Source (Next, Settle)
//
// # Why there is no cursor
//
// Commit order is not sequence order: a row with a lower number may become
// visible after higher ones were published. A read therefore takes the lowest
// numbers that are there now and not in the ledger (Table.read). A bound on the
// last number settled would be wrong even for a busy key: the writers of one key
// serialise, so a key's earlier row is visible to every snapshot that sees its
// later row, but not to every earlier snapshot. The bound that reads do have is
// proven first, and spares them the rows that were deleted and that an old
// snapshot keeps (bound.go).
//
// # What is owed
//
// What was acknowledged is in the ledger until it is settled, by the session that
// read it or by a later one (Memory), and is not read again. Rows that the database
// does not let go stay there, are told, and are tried again (settle.go).
//
// # One relay per table
//
// The session that reads and settles holds an advisory lock (law 6). When the
// session ends, the lock is free and nothing that this relay still believes can
// settle a row. PostgreSQL ends the session of a relay that was stopped or cut
// off by idle_session_timeout (PostgreSQL 14 and newer), and by
// tcp_user_timeout if it was in the middle of an answer; a relay that lives
// polls or pings often enough. What a woken relay had handed to its producer
// before may still be published: those are duplicates with the same id.
//
// The lock needs a session of its own for the whole time: a pooler that
// shares sessions between transactions (PgBouncer in transaction mode) breaks it.
package postgres
