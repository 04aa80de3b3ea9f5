package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir-dev/weir/internal/relay"
)

const (
	connectTimeout = 5 * time.Second
	// statementTimeout bounds every statement, on the server and here.
	statementTimeout = 30 * time.Second
	// idleTimeout is how long the server keeps the session (and its lock) of
	// a relay that is silent, beyond the longest pause of polling.
	idleTimeout = 10 * time.Second
	// applicationPrefix begins the application_name of a relay's sessions.
	applicationPrefix = "weir:"
	// lockClass is the first key of Weir's advisory locks: "WEIR" in ASCII.
	lockClass = 0x57454952
	// idleSessionTimeoutVersion is the first server that has idle_session_timeout.
	idleSessionTimeoutVersion = 140000
)

// Session is one connection to the database. It is not safe for concurrent use.
type Session struct {
	conn *pgx.Conn
	name string // application_name
}

// Connect opens a session with the URI in uriFile, which is read now, so that
// a changed Secret takes effect at the next connection. name (the relay's
// "<namespace>/<name>") is shown in pg_stat_activity; longestPause is how long
// the session may be silent in normal operation. The error is a *relay.Problem.
func Connect(ctx context.Context, uriFile, name string, longestPause time.Duration) (*Session, error) {
	c, err := readURI(uriFile)
	if err != nil {
		return nil, err
	}
	c.ConnectTimeout = connectTimeout
	c.RuntimeParams["application_name"] = applicationPrefix + name
	// Of several hosts, and after a failover, take the one that can settle,
	// whatever target_session_attrs in the URI says.
	c.ValidateConnect = requireWritable
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, connectProblem(c, err)
	}
	s := &Session{conn: conn, name: applicationPrefix + name}
	if err := s.limit(ctx, longestPause); err != nil {
		s.Close()
		return nil, Problem(err)
	}
	return s, nil
}

// requireWritable refuses a session in which no row can be settled: the records
// of its rows would be published again and again.
func requireWritable(ctx context.Context, conn *pgconn.PgConn) error {
	result := conn.ExecParams(ctx, "SHOW transaction_read_only", nil, nil, nil, nil).Read()
	switch {
	case result.Err != nil:
		return result.Err
	case len(result.Rows) != 1 || string(result.Rows[0][0]) != "off":
		return errReadOnly
	}
	return nil
}

// limit pins what the role, the database or the URI may have set: times are
// written and read in UTC, whatever the zone of whoever configured them. And it
// makes the server end what this relay cannot end any more, because it
// is stopped or cut off: a session without a statement by idle_session_timeout,
// one whose answer nobody reads by tcp_user_timeout, and what waits for a lock
// by statement_timeout.
func (s *Session) limit(ctx context.Context, longestPause time.Duration) error {
	silence := (idleTimeout + longestPause).Milliseconds()
	settings := "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; " +
		"SET default_transaction_isolation = 'read committed'; " +
		// What was planned for a table of ten rows is wrong for a million.
		"SET plan_cache_mode = force_custom_plan; " +
		fmt.Sprintf("SET statement_timeout = %d; SET lock_timeout = %d; SET tcp_user_timeout = %d",
			statementTimeout.Milliseconds(), lockTimeout.Milliseconds(), silence)
	var version int
	if err := s.conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	if version >= idleSessionTimeoutVersion {
		settings += fmt.Sprintf("; SET idle_session_timeout = %d", silence)
	}
	_, err := s.conn.Exec(ctx, settings)
	return err
}

// TryLock takes the lock of a table ("schema.table") if nobody has it, and
// holds it until the session ends. It does not wait in the database, because
// a waiting statement would keep vacuum from removing the rows that the active
// relay settles.
//
// The key is a hash of the table's name rather than its OID, so that a table
// which is dropped and made again is still one outbox.
func (s *Session) TryLock(ctx context.Context, table string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var locked bool
	err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", int32(lockClass), int32(lockKey(table))).Scan(&locked)
	if err != nil {
		return false, Problem(fmt.Errorf("taking the lock: %w", err))
	}
	return locked, nil
}

func lockKey(table string) uint32 {
	hash := fnv.New32a()
	hash.Write([]byte(table))
	return hash.Sum32()
}

// TakenBy returns a *relay.Problem where a session that is no replica of this
// relay holds the lock of a table ("schema.table"), or is likely to: it does not
// end, as that of a replica does. Nil means that a replica holds it, or nobody.
func (s *Session) TakenBy(ctx context.Context, table string) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var database string
	var holder, role *string
	err := s.conn.QueryRow(ctx, `
		SELECT current_database(), application_name, usename FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND granted
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		uint32(lockClass), lockKey(table)).Scan(&database, &holder, &role)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return Problem(fmt.Errorf("looking who holds the lock: %w", err))
	}
	who := "a session of another role"
	switch {
	case holder == nil && role != nil: // PostgreSQL shows it to members of the role only
		who = fmt.Sprintf("a session of role %q", *role)
	case holder != nil && *holder == s.name:
		return nil
	case holder != nil && strings.HasPrefix(*holder, applicationPrefix):
		who = "OutboxRelay " + strings.TrimPrefix(*holder, applicationPrefix)
	}
	return &relay.Problem{Reason: TableTaken, Message: fmt.Sprintf(
		"another relay holds the lock of %s in database %q: %s publishes that table; delete one of the two, or give this one another spec.outbox.table",
		table, database, who)}
}

// Close ends the session and frees its lock.
func (s *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // the server frees the lock of a lost session by itself
}

func connectProblem(c *pgx.ConnConfig, err error) *relay.Problem {
	reason := DatabaseUnreachable
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		reason = reasonOf(refused.Code)
	} else if errors.Is(err, errReadOnly) {
		reason = DatabaseReadOnly
	}
	return &relay.Problem{Reason: reason, Message: fmt.Sprintf(
		"connecting to database %q at %s:%d as %q: %s", c.Database, c.Host, c.Port, c.User, connectCause(err, c.User, c.Database))}
}
