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

	columns config.Columns
	mark    bool
	// binaryPayload: the payload is bytea and is published as it is.
	binaryPayload bool
	// uniqueSequence: a row is found by its number alone. Without a unique
	// index the id is compared too: numbers of identity columns can be
	// inserted by hand, and a row that was never read must not be settled.
	uniqueSequence bool
}

// The status values of afterPublish Mark.
const (
	statusSent   = "SENT"
	statusFailed = "FAILED"
)

// SplitName splits "schema.table"; a bare name is in schema public.
func SplitName(name string) (schema, table string) {
	if schema, table, ok := strings.Cut(name, "."); ok {
		return schema, table
	}
	return "public", name
}

// read is the statement that reads a batch: $1 is the most rows. Its columns
// are in the order of the column constants.
func (t Table) read() string {
	c := t.columns
	payload := text(c.Payload)
	if t.binaryPayload {
		payload = quote(c.Payload)
	}
	exprs := []string{quote(c.Sequence) + "::int8", text(c.ID), text(c.AggregateType), text(c.AggregateID), text(c.Type), payload}
	exprs = append(exprs, orNull(c.Headers, text, "text"), orNull(c.CreatedAt, timestamp, "timestamptz"))
	return fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT $1", strings.Join(exprs, ", "), t.Name, t.wherePending(), quote(c.Sequence))
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
	columnCount
)

// formats asks for the binary form of every column: text is its bytes, int8
// and timestamptz are eight.
var formats = pgx.QueryResultFormats(slices.Repeat([]int16{pgx.BinaryFormatCode}, columnCount))

// wherePending leaves out rows that are marked as sent. It is written so that
// an index ... WHERE status IS DISTINCT FROM 'SENT' serves it.
func (t Table) wherePending() string {
	if !t.mark {
		return ""
	}
	return fmt.Sprintf(" WHERE %s IS DISTINCT FROM '%s'", quote(t.columns.Status), statusSent)
}

// settle is the statement that settles rows: $1 are their numbers, and $2
// their ids where numbers are not unique.
func (t Table) settle() string {
	rows := fmt.Sprintf("%s = ANY($1::int8[])", quote(t.columns.Sequence))
	if !t.uniqueSequence {
		rows += fmt.Sprintf(" AND (%s::int8, %s) IN (SELECT * FROM unnest($1::int8[], $2::text[]))", quote(t.columns.Sequence), text(t.columns.ID))
	}
	if !t.mark {
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t.Name, rows)
	}
	set := fmt.Sprintf("%s = '%s'", quote(t.columns.Status), statusSent)
	if t.columns.PublishedAt != "" {
		set += fmt.Sprintf(", %s = clock_timestamp()", quote(t.columns.PublishedAt))
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.Name, set, rows)
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
