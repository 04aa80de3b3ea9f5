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

// Preflight checks that the outbox is there, has the columns, keeps their
// order and may be read and settled by this session's role. The error is a
// *relay.Problem whose message says what cures it.
func (s *Session) Preflight(ctx context.Context, o config.Outbox) (Table, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	found, err := s.inspect(ctx, o.Table)
	if err != nil {
		return Table{}, err
	}
	if err := found.check(o); err != nil {
		return Table{}, err
	}
	if err := s.checkSequence(ctx, found, o.Columns.Sequence); err != nil {
		return Table{}, err
	}
	return Table{
		Name:           found.name,
		Advice:         found.advice(o.Columns.Sequence),
		columns:        o.Columns,
		mark:           o.AfterPublish == config.Mark,
		binaryPayload:  found.columns[o.Columns.Payload].typ == "bytea",
		uniqueSequence: found.columns[o.Columns.Sequence].unique,
	}, nil
}

// inspection is what the catalogs say about the table, and about the rights
// of the role that asks. Names are as SQL writes them.
type inspection struct {
	oid        uint32
	schema     string
	name       string // schema.table
	role       string
	usage      bool // of the schema
	mayDelete  bool
	columns    map[string]column
	columnList []string // in the table's order
}

type column struct {
	number    int16
	typ       string
	notNull   bool
	unique    bool // by an index of its own
	indexed   bool // some index begins with it
	maySelect bool
	mayUpdate bool
}

func (s *Session) inspect(ctx context.Context, table string) (inspection, error) {
	schema, name := SplitName(table)
	var i inspection
	err := s.conn.QueryRow(ctx, `
		SELECT c.oid, quote_ident(n.nspname), format('%I.%I', n.nspname, c.relname), quote_ident(current_user),
		       has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'DELETE')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, schema, name,
	).Scan(&i.oid, &i.schema, &i.name, &i.role, &i.usage, &i.mayDelete)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return inspection{}, s.tableNotFound(ctx, schema, name)
	case err != nil:
		return inspection{}, Problem(err)
	}
	rows, err := s.conn.Query(ctx, `
		SELECT attname, attnum, format_type(atttypid, NULL), attnotnull,
		       has_column_privilege(attrelid, attnum, 'SELECT'), has_column_privilege(attrelid, attnum, 'UPDATE'),
		       EXISTS (SELECT FROM pg_index
		               WHERE indrelid = attrelid AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL
		                 AND indnkeyatts = 1 AND indkey[0] = attnum),
		       EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisvalid AND indkey[0] = attnum)
		FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, i.oid)
	if err != nil {
		return inspection{}, Problem(err)
	}
	i.columns = map[string]column{}
	var attribute string
	var c column
	_, err = pgx.ForEachRow(rows, []any{&attribute, &c.number, &c.typ, &c.notNull, &c.maySelect, &c.mayUpdate, &c.unique, &c.indexed}, func() error {
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

func (s *Session) tableNotFound(ctx context.Context, schema, name string) *relay.Problem {
	var database string
	if err := s.conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return Problem(err)
	}
	return &relay.Problem{Reason: TableNotFound, Message: fmt.Sprintf(
		"database %q has no table %q in schema %q; create it, or correct spec.outbox.table", database, name, schema)}
}

// check compares the table with what the relay needs.
func (i inspection) check(o config.Outbox) error {
	needed := neededColumns(o)
	for _, n := range needed {
		c, ok := i.columns[n.name]
		if !ok {
			return i.columnNotFound(n)
		}
		if !n.fits(c) {
			return &relay.Problem{Reason: ColumnTypeMismatch, Message: fmt.Sprintf(
				"column %q of %s is %s, but spec.outbox.columns.%s needs %s",
				n.name, i.name, describe(c), n.field, n.need)}
		}
	}
	return i.checkPrivileges(o, needed)
}

// neededColumn is a column that the relay reads or writes.
type neededColumn struct {
	field string // of spec.outbox.columns
	name  string
	types []string // any, if empty
	need  string   // the types in words
	ddl   string   // what ADD COLUMN adds
	write bool
}

func (n neededColumn) fits(c column) bool {
	if n.field == "sequence" && !c.notNull {
		return false // a row without a number has no place in the order
	}
	return len(n.types) == 0 || slices.Contains(n.types, c.typ)
}

func describe(c column) string {
	if c.notNull {
		return c.typ + " NOT NULL"
	}
	return c.typ
}

func neededColumns(o config.Outbox) []neededColumn {
	times := []string{"timestamp with time zone", "timestamp without time zone"}
	c := o.Columns
	all := []neededColumn{
		{field: "id", name: c.ID, ddl: "uuid PRIMARY KEY DEFAULT gen_random_uuid()"},
		{field: "aggregateType", name: c.AggregateType, ddl: "text NOT NULL"},
		{field: "aggregateId", name: c.AggregateID, ddl: "text NOT NULL"},
		{field: "type", name: c.Type, ddl: "text NOT NULL"},
		{field: "payload", name: c.Payload, ddl: "jsonb NOT NULL"},
		{field: "sequence", name: c.Sequence, types: []string{"bigint", "integer", "smallint"},
			need: "an integer that is NOT NULL", ddl: "bigint GENERATED ALWAYS AS IDENTITY UNIQUE"},
		{field: "createdAt", name: c.CreatedAt, types: times, need: "a timestamp", ddl: "timestamptz NOT NULL DEFAULT now()"},
		{field: "headers", name: c.Headers, types: []string{"json", "jsonb", "text", "character varying"},
			need: "json or jsonb", ddl: "jsonb"},
	}
	if o.AfterPublish == config.Mark {
		all = append(all,
			neededColumn{field: "status", name: c.Status, types: []string{"text", "character varying"},
				need: "text", ddl: "text NOT NULL DEFAULT 'PENDING'", write: true},
			neededColumn{field: "publishedAt", name: c.PublishedAt, types: times, need: "a timestamp", ddl: "timestamptz", write: true},
		)
	}
	return slices.DeleteFunc(all, func(n neededColumn) bool { return n.name == "" })
}

func (i inspection) columnNotFound(n neededColumn) *relay.Problem {
	return &relay.Problem{Reason: ColumnNotFound, Message: fmt.Sprintf(
		"table %s has no column %q (it has: %s); correct spec.outbox.columns.%s, or add it: ALTER TABLE %s ADD COLUMN %s %s",
		i.name, n.name, strings.Join(i.columnList, ", "), n.field, i.name, quote(n.name), n.ddl)}
}

// checkPrivileges names every missing right in one statement.
func (i inspection) checkPrivileges(o config.Outbox, needed []neededColumn) error {
	var grants, update []string
	if !i.usage {
		grants = append(grants, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", i.schema, i.role))
	}
	var rights []string
	if slices.ContainsFunc(needed, func(n neededColumn) bool { return !i.columns[n.name].maySelect }) {
		rights = append(rights, "SELECT")
	}
	if o.AfterPublish == config.Delete && !i.mayDelete {
		rights = append(rights, "DELETE")
	}
	for _, n := range needed {
		if n.write && !i.columns[n.name].mayUpdate {
			update = append(update, quote(n.name))
		}
	}
	if len(update) > 0 {
		rights = append(rights, "UPDATE ("+strings.Join(update, ", ")+")")
	}
	if len(rights) > 0 {
		grants = append(grants, fmt.Sprintf("GRANT %s ON %s TO %s", strings.Join(rights, ", "), i.name, i.role))
	}
	if len(grants) == 0 {
		return nil
	}
	return &relay.Problem{Reason: PrivilegeMissing, Message: fmt.Sprintf(
		"role %s may not read and settle %s; run: %s", i.role, i.name, strings.Join(grants, "; "))}
}

// checkSequence refuses a sequence with CACHE: each session would take numbers
// from a range of its own, and a later row of a key could get a lower number.
func (s *Session) checkSequence(ctx context.Context, i inspection, name string) error {
	var sequence string
	var cache int64
	err := s.conn.QueryRow(ctx, `
		SELECT s.seqrelid::regclass::text, s.seqcache FROM pg_sequence s WHERE s.seqcache > 1 AND s.seqrelid IN (
			SELECT objid FROM pg_depend
			WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
			  AND refobjid = $1 AND refobjsubid = $2 AND deptype IN ('a', 'i')
			UNION
			SELECT d.refobjid FROM pg_depend d JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
			WHERE a.adrelid = $1 AND a.adnum = $2 AND d.refclassid = 'pg_class'::regclass)
		LIMIT 1`, i.oid, i.columns[name].number).Scan(&sequence, &cache)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return Problem(err)
	}
	return &relay.Problem{Reason: SequenceCached, Message: fmt.Sprintf(
		"sequence %s of column %q hands out numbers in blocks of %d per session, which loses the order between sessions; "+
			"run: ALTER SEQUENCE %s CACHE 1", sequence, name, cache, sequence)}
}
