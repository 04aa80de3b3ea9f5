package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

// inspection is what the catalogs say about the table, and about the rights
// of the role that asks. Names are as SQL writes them.
type inspection struct {
	oid        uint32
	schema     string
	name       string // schema.table
	role       string
	usage      bool // of the schema
	mayDelete  bool
	hidden     bool // policies may hide rows from the role
	columns    map[string]column
	columnList []string // in the table's order
}

type column struct {
	number int16
	typ    string // as it was declared
	// base is typ, or what it is a domain over in the end: domains are sent and
	// compared as their base.
	base      string
	notNull   bool // by the column, or by a domain
	unique    bool // by an index of its own
	indexed   bool // some index begins with it
	maySelect bool
	mayUpdate bool
}

// checkWritable refuses a session in which nothing can be settled: a server may
// have become a standby since the session began, with another as the primary.
func (s *Session) checkWritable(ctx context.Context) error {
	var readOnly, role string
	if err := s.conn.QueryRow(ctx, "SELECT current_setting('transaction_read_only'), current_user").Scan(&readOnly, &role); err != nil {
		return Problem(err)
	}
	if readOnly == "off" {
		return nil
	}
	server := s.conn.Config()
	return &relay.Problem{Reason: DatabaseReadOnly, Message: fmt.Sprintf("at %s:%d: %s", server.Host, server.Port, readOnlyWords(role))}
}

func (s *Session) inspect(ctx context.Context, o config.Outbox) (inspection, error) {
	schema, name := SplitName(o.Table)
	var i inspection
	settles := "d"
	if o.AfterPublish == config.Mark {
		settles = "w"
	}
	err := s.conn.QueryRow(ctx, `
		WITH policy AS (
			SELECT *, pg_get_expr(polqual, polrelid) IS NOT DISTINCT FROM 'true' AS all_rows FROM pg_policy
			WHERE EXISTS (SELECT FROM unnest(polroles) AS role WHERE role = 0 OR pg_has_role(current_user, role, 'USAGE')))
		SELECT c.oid, quote_ident(n.nspname), format('%I.%I', n.nspname, c.relname), quote_ident(current_user),
		       has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'DELETE'),
		       row_security_active(c.oid) AND EXISTS (
			SELECT FROM unnest($3::text[]) AS command WHERE NOT EXISTS (
				SELECT FROM policy WHERE polrelid = c.oid AND polpermissive AND polcmd::text IN ('*', command) AND all_rows)
			   OR EXISTS (
				SELECT FROM policy WHERE polrelid = c.oid AND NOT polpermissive AND polcmd::text IN ('*', command) AND NOT all_rows))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, schema, name, []string{"r", settles},
	).Scan(&i.oid, &i.schema, &i.name, &i.role, &i.usage, &i.mayDelete, &i.hidden)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return inspection{}, s.tableNotFound(ctx, schema, name, o)
	case err != nil:
		return inspection{}, Problem(err)
	}
	rows, err := s.conn.Query(ctx, `
		SELECT attname, attnum, format_type(atttypid, NULL), format_type(base.oid, NULL), attnotnull OR base.not_null,
		       has_column_privilege(attrelid, attnum, 'SELECT'), has_column_privilege(attrelid, attnum, 'UPDATE'),
		       EXISTS (SELECT FROM pg_index
		               WHERE indrelid = attrelid AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL
		                 AND indnkeyatts = 1 AND indkey[0] = attnum),
		       EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisvalid AND indkey[0] = attnum)
		FROM pg_attribute, LATERAL (
			WITH RECURSIVE domain (oid, base, not_null) AS (
				SELECT oid, typbasetype, typnotnull FROM pg_type WHERE oid = atttypid
				UNION ALL
				SELECT t.oid, t.typbasetype, t.typnotnull OR domain.not_null
				FROM domain JOIN pg_type t ON t.oid = domain.base WHERE domain.base <> 0)
			SELECT oid, not_null FROM domain WHERE base = 0) base
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, i.oid)
	if err != nil {
		return inspection{}, Problem(err)
	}
	i.columns = map[string]column{}
	var attribute string
	var c column
	scans := []any{&attribute, &c.number, &c.typ, &c.base, &c.notNull, &c.maySelect, &c.mayUpdate, &c.unique, &c.indexed}
	_, err = pgx.ForEachRow(rows, scans, func() error {
		i.columns[attribute] = c
		i.columnList = append(i.columnList, attribute)
		return nil
	})
	if err != nil {
		return inspection{}, Problem(err)
	}
	return i, nil
}

func (i inspection) advice(sequence string) string {
	if i.columns[sequence].indexed {
		return ""
	}
	return fmt.Sprintf("no index begins with column %q, so every read sorts the whole table; run: CREATE UNIQUE INDEX ON %s (%s)",
		sequence, i.name, quote(sequence))
}

// tableNotFound says what is there instead of the table, or how to create it.
func (s *Session) tableNotFound(ctx context.Context, schema, name string, o config.Outbox) *relay.Problem {
	var database, kind string
	var similar *string
	err := s.conn.QueryRow(ctx, `
		SELECT current_database(), (
			SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			  AND lower(replace(c.relname, '_', '')) = lower(replace($2, '_', '')) ORDER BY n.nspname <> $1, 1 LIMIT 1), COALESCE((
			SELECT CASE relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'no table' END
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = $2), '')`, schema, name).Scan(&database, &similar, &kind)
	switch {
	case err != nil:
		return Problem(err)
	case kind != "":
		return &relay.Problem{Reason: TableNotFound, Message: fmt.Sprintf(
			"%s.%s in database %q is %s; the relay needs the table behind it: correct spec.outbox.table", schema, name, database, kind)}
	}
	there := ""
	if similar != nil {
		there = "there is " + *similar + "; "
	}
	return &relay.Problem{Reason: TableNotFound, Message: fmt.Sprintf(
		"database %q has no table %q in schema %q; %scorrect spec.outbox.table, or create it: %s", database, name, schema, there, ddl(schema, name, o))}
}

// ddl creates the table that the relay was told of.
func ddl(schema, name string, o config.Outbox) string {
	var columns []string
	for _, n := range neededColumns(o) {
		columns = append(columns, quote(n.name)+" "+n.ddl)
	}
	return fmt.Sprintf("CREATE TABLE %s.%s (%s)", quote(schema), quote(name), strings.Join(slices.Compact(columns), ", "))
}
