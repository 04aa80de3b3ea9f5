package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir-dev/weir/internal/relay"
)

// Reasons of a Problem that this package reports.
const (
	SecretInvalid        = "SecretInvalid"
	DatabaseReadOnly     = "DatabaseReadOnly"
	DatabaseUnreachable  = "DatabaseUnreachable"
	DatabaseUnauthorized = "DatabaseUnauthorized"
	DatabaseError        = "DatabaseError"
	TableNotFound        = "TableNotFound"
	TableTaken           = "TableTaken"
	ColumnNotFound       = "ColumnNotFound"
	ColumnTypeMismatch   = "ColumnTypeMismatch"
	PrivilegeMissing     = "PrivilegeMissing"
	SequenceCached       = "SequenceCached"
	PoisonRow            = "PoisonRow"
	SettleIneffective    = "SettleIneffective"
	SettleRefused        = "SettleRefused"
	RowsLocked           = "RowsLocked"
	TableLocked          = "TableLocked"
)

// Problem says what an error of the database means. SQLSTATE codes are those
// of https://www.postgresql.org/docs/current/errcodes-appendix.html.
func Problem(err error) *relay.Problem {
	if problem, ok := errors.AsType[*relay.Problem](err); ok {
		return problem
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return &relay.Problem{Reason: DatabaseUnreachable, Message: "the connection to the database broke: " + brokenWords(err), Err: err}
	}
	return &relay.Problem{
		Reason:  reasonOf(refused.Code),
		Message: fmt.Sprintf("the database answered: %s (SQLSTATE %s)", refused.Message, refused.Code),
		Err:     err,
	}
}

func reasonOf(code string) string {
	switch {
	case strings.HasPrefix(code, "28"), // invalid authorization
		code == "3D000": // no such database
		return DatabaseUnauthorized
	case code == "25006": // read-only transaction
		return DatabaseReadOnly
	case code == "42501":
		return PrivilegeMissing
	case code == "42P01", code == "3F000":
		return TableNotFound
	case code == "42703":
		return ColumnNotFound
	case strings.HasPrefix(code, "08"), // connection exception
		strings.HasPrefix(code, "57P"), // shutdown, not yet started, session timeout
		strings.HasPrefix(code, "53"):  // too many connections, out of resources
		return DatabaseUnreachable
	default:
		return DatabaseError
	}
}
