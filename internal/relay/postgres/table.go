package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/internal/relay/config"
)

// Table is an outbox that passed Preflight.
type Table struct {
	// Name is the table's name as SQL writes it, quoted where it must be.
	Name string
	// Advice says what would make the relay faster, empty if nothing does.
	Advice string

	oid     uint32
	columns config.Columns
	mark    bool
	// binaryPayload: the payload is bytea and is published as it is.
	binaryPayload bool
	// numbers: only the table itself gives out its numbers, one by one and upwards.
	numbers bool
	// uniqueSequence: a row is found by its number alone. Without a unique
	// index the id is compared too: numbers of identity columns can be
	// inserted by hand, and a row that was never read must not be settled.
	uniqueSequence bool
}

// verb is what becomes of a row that is settled.
func (t Table) verb() string {
	if t.mark {
		return "marked"
	}
	return "deleted"
}

// The status values of afterPublish Mark.
const (
	statusSent   = "SENT"
	statusFailed = "FAILED"
)

// SplitName splits "schema.table"; a bare name is in schema public. Names are as the
// catalog has them, or in quotes as SQL writes them.
func SplitName(name string) (schema, table string) {
	if schema, table, ok := strings.Cut(name, "."); ok {
		return unquoted(schema), unquoted(table)
	}
	return "public", unquoted(name)
}

func unquoted(name string) string {
	if inner, ok := strings.CutPrefix(name, `"`); ok && strings.HasSuffix(inner, `"`) {
		return strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
	}
	return name
}

// read is the statement that reads a batch: $1 is the most rows, $2 how many bytes
// their payloads may have together as they are stored, besides the last one's, $3
// is the number up to which it need not look, $4 are the numbers of those to leave
// out, and $5 their ids where numbers are not unique. Its columns are in the order of
// the column constants.
//
// It returns, by number, the first rows of {visible now} without those that are
// left out, which is right for each key: whose writers take turns, so that a
// snapshot with a later row of a key has the earlier ones too, and these are among
// the ones that are left out or come first. A bound on what was read last would be
// wrong: rows become visible in another order than that of their numbers.
func (t Table) read() string {
	c := t.columns
	payload := text(c.Payload)
	if t.binaryPayload {
		payload = quote(c.Payload)
	}
	exprs := []string{quote(c.Sequence) + "::int8", text(c.ID), text(c.AggregateType), text(c.AggregateID), text(c.Type), payload}
	exprs = append(exprs, orNull(c.Headers, text, "text"), orNull(c.CreatedAt, timestamp, "timestamptz"))
	// A subquery that is not correlated is hashed, whatever the statistics say, and
	// keeps the order of the index.
	out := fmt.Sprintf("%s::int8 NOT IN (SELECT unnest($4::int8[]))", quote(c.Sequence))
	if !t.uniqueSequence {
		out = fmt.Sprintf("(%s::int8, %s) NOT IN (SELECT * FROM unnest($4::int8[], $5::text[]))", quote(c.Sequence), text(c.ID))
	}
	// The size is that of what is stored: nothing is fetched and unpacked for it.
	first := fmt.Sprintf("SELECT *, sum(pg_column_size(%[1]s)) OVER (ORDER BY %[2]s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS %[3]s FROM %[4]s WHERE %[5]s ORDER BY %[2]s LIMIT $1",
		quote(c.Payload), quote(c.Sequence), bytesBefore, t.Name, and(quote(c.Sequence)+" > $3::int8", t.pending(), out))
	return fmt.Sprintf("SELECT %s FROM (%s) AS outbox WHERE coalesce(%s, 0) <= $2 ORDER BY %s", strings.Join(exprs, ", "), first, bytesBefore, quote(c.Sequence))
}

// bytesBefore names a column of no table.
const bytesBefore = `"weir bytes before"`

func and(conditions ...string) string {
	return strings.Join(slices.DeleteFunc(conditions, func(c string) bool { return c == "" }), " AND ")
}

// The columns of read.
const (
	colSequence = iota
	colID
	colAggregateType
	colAggregateID
	colType
	colPayload
	colHeaders
	colCreatedAt
)

// pending leaves out rows that are marked as sent. It is written so that
// an index ... WHERE status IS DISTINCT FROM 'SENT' serves it.
func (t Table) pending() string {
	if !t.mark {
		return ""
	}
	return fmt.Sprintf("%s IS DISTINCT FROM '%s'", quote(t.columns.Status), statusSent)
}

func (t Table) wherePending() string {
	if !t.mark {
		return ""
	}
	return " WHERE " + t.pending()
}

// these are the rows with the numbers $1, and with the ids $2 where numbers are
// not unique.
func (t Table) these() string {
	rows := fmt.Sprintf("%s = ANY($1::int8[])", quote(t.columns.Sequence))
	if !t.uniqueSequence {
		rows += fmt.Sprintf(" AND (%s::int8, %s) IN (SELECT * FROM unnest($1::int8[], $2::text[]))", quote(t.columns.Sequence), text(t.columns.ID))
	}
	return rows
}

// remaining is the statement that finds which of these rows are not settled.
func (t Table) remaining() string {
	id := "NULL::text"
	if !t.uniqueSequence {
		id = text(t.columns.ID)
	}
	return fmt.Sprintf("SELECT %s::int8, %s FROM %s WHERE %s", quote(t.columns.Sequence), id, t.Name, and(t.pending(), t.these()))
}

// settle is the statement that settles these rows. It affects, or returns, as many
// as it has settled.
func (t Table) settle() string {
	rows := t.these()
	if !t.mark {
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t.Name, rows)
	}
	set := fmt.Sprintf("%s = '%s'", quote(t.columns.Status), statusSent)
	if t.columns.PublishedAt != "" {
		set += fmt.Sprintf(", %s = clock_timestamp()", quote(t.columns.PublishedAt))
	}
	// A trigger may have put back what it was.
	return fmt.Sprintf("WITH marked AS (UPDATE %s SET %s WHERE %s RETURNING %s AS status) SELECT FROM marked WHERE status = '%s'",
		t.Name, set, rows, quote(t.columns.Status), statusSent)
}

// fail is the statement that shows a poison row as FAILED: $1 is its number.
func (t Table) fail() string {
	return fmt.Sprintf("UPDATE %s SET %s = '%s' WHERE %s = $1 AND %s IS DISTINCT FROM '%s'",
		t.Name, quote(t.columns.Status), statusFailed, quote(t.columns.Sequence), quote(t.columns.Status), statusFailed)
}

// backlog is the statement that counts pending rows and tells the age of the
// first of them in seconds, by the database's clock.
func (t Table) backlog() string {
	age := "NULL::float8"
	if t.columns.CreatedAt != "" {
		age = fmt.Sprintf("(SELECT extract(epoch FROM clock_timestamp() - %s)::float8 FROM %s%s ORDER BY %s LIMIT 1)",
			timestamp(t.columns.CreatedAt), t.Name, t.wherePending(), quote(t.columns.Sequence))
	}
	return fmt.Sprintf("SELECT count(*), %s FROM %s%s", age, t.Name, t.wherePending())
}

func quote(column string) string     { return pgx.Identifier{column}.Sanitize() }
func text(column string) string      { return quote(column) + "::text" }
func timestamp(column string) string { return quote(column) + "::timestamptz" }

func orNull(column string, expr func(string) string, typ string) string {
	if column == "" {
		return "NULL::" + typ
	}
	return expr(column)
}
