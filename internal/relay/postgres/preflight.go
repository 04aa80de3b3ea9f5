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
	if err := s.checkWritable(ctx); err != nil {
		return Table{}, err
	}
	found, err := s.inspect(ctx, o)
	if err != nil {
		return Table{}, err
	}
	if err := found.check(o); err != nil {
		return Table{}, err
	}
	if err := s.checkSequence(ctx, found, o.Columns.Sequence); err != nil {
		return Table{}, err
	}
	numbers, err := s.givesOutNumbers(ctx, found, o.Columns.Sequence)
	if err != nil {
		return Table{}, err
	}
	return Table{
		Name:           found.name,
		oid:            found.oid,
		Advice:         found.advice(o.Columns.Sequence),
		columns:        o.Columns,
		mark:           o.AfterPublish == config.Mark,
		binaryPayload:  found.columns[o.Columns.Payload].base == "bytea",
		numbers:        numbers,
		uniqueSequence: found.columns[o.Columns.Sequence].unique,
	}, nil
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
				"column %q of %s is %s, but spec.outbox.columns.%s needs %s%s",
				n.name, i.name, describe(c), n.field, n.need, n.cure(i.name))}
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
	// cast is the type to change the column to; empty where there is no such cure.
	cast string
}

// cure is the statement that gives the column a type that fits.
func (n neededColumn) cure(table string) string {
	if n.cast == "" {
		return ""
	}
	column := quote(n.name)
	return fmt.Sprintf("; run: ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::%s", table, column, n.cast, column, n.cast)
}

func (n neededColumn) fits(c column) bool {
	if n.field == "sequence" && !c.notNull {
		return false // a row without a number has no place in the order
	}
	return len(n.types) == 0 || slices.Contains(n.types, c.base)
}

func describe(c column) string {
	words := c.typ
	if c.base != c.typ {
		words += " (a domain over " + c.base + ")"
	}
	if c.notNull {
		words += " NOT NULL"
	}
	return words
}

// The types that are text, and those of a payload: what is published is bytes,
// text or JSON, and not the way in which PostgreSQL prints something else.
var (
	textTypes    = []string{"text", "character varying", "character", "citext"}
	jsonTypes    = []string{"json", "jsonb"}
	payloadTypes = slices.Concat([]string{"bytea"}, textTypes, jsonTypes)
)

func neededColumns(o config.Outbox) []neededColumn {
	times := []string{"timestamp with time zone", "timestamp without time zone"}
	c := o.Columns
	all := []neededColumn{
		{field: "id", name: c.ID, ddl: "uuid PRIMARY KEY DEFAULT gen_random_uuid()"},
		{field: "aggregateType", name: c.AggregateType, ddl: "text NOT NULL"},
		{field: "aggregateId", name: c.AggregateID, ddl: "text NOT NULL"},
		{field: "type", name: c.Type, ddl: "text NOT NULL"},
		{field: "payload", name: c.Payload, types: payloadTypes, need: "bytes (bytea), text or JSON",
			ddl: "jsonb NOT NULL", cast: "text"},
		{field: "sequence", name: c.Sequence, types: []string{"bigint", "integer", "smallint"},
			need: "an integer that is NOT NULL", ddl: "bigint GENERATED ALWAYS AS IDENTITY UNIQUE"},
		{field: "createdAt", name: c.CreatedAt, types: times, need: "a timestamp", ddl: "timestamptz NOT NULL DEFAULT now()"},
		{field: "headers", name: c.Headers, types: slices.Concat(jsonTypes, textTypes),
			need: "json or jsonb", ddl: "jsonb"},
	}
	if o.AfterPublish == config.Mark {
		all = append(all,
			neededColumn{field: "status", name: c.Status, types: textTypes,
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
		return i.checkRowSecurity()
	}
	return &relay.Problem{Reason: PrivilegeMissing, Message: fmt.Sprintf(
		"role %s may not read and settle %s; run: %s", i.role, i.name, strings.Join(grants, "; "))}
}

// checkRowSecurity refuses policies that hide rows: the table would look empty.
func (i inspection) checkRowSecurity() error {
	if !i.hidden {
		return nil
	}
	return &relay.Problem{Reason: PrivilegeMissing, Message: fmt.Sprintf(
		"row level security may hide rows of %[1]s from role %[2]s; run: ALTER ROLE %[2]s BYPASSRLS, or: CREATE POLICY relay ON %[1]s TO %[2]s USING (true)", i.name, i.role)}
}

// givesOutNumbers says whether the numbers of a column are those of its own sequence,
// one by one and upwards, whoever inserts: nothing else may write it, and no trigger
// takes a number for longer than the INSERT has its lock.
func (s *Session) givesOutNumbers(ctx context.Context, i inspection, name string) (bool, error) {
	const beforeInsertRow = 1 | 2 | 4 // of pg_trigger.h
	var is bool
	err := s.conn.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM pg_attribute a
			JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
			  AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
			JOIN pg_sequence s ON s.seqrelid = d.objid
			WHERE a.attrelid = $1 AND a.attnum = $2 AND a.attidentity = 'a' AND s.seqcache = 1 AND s.seqincrement > 0 AND NOT s.seqcycle)
		AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal AND tgtype & $3 = $3)`,
		i.oid, i.columns[name].number, beforeInsertRow).Scan(&is)
	if err != nil {
		return false, Problem(err)
	}
	return is, nil
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
