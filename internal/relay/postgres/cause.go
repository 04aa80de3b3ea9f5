package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// errReadOnly is why a connection is of no use to a relay.
var errReadOnly = errors.New("the session is read-only")

// connectCause says in words of its own why a connection could not be made. The
// driver's and the server's texts may quote what stands in the URI, and they
// repeat themselves once per address, with addresses and ports that are others
// at each attempt.
func connectCause(err error, user, database string) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("%s (SQLSTATE %s)", refusalWords(refused.Code, user, database), refused.Code)
	}
	if errors.Is(err, errReadOnly) {
		return readOnlyWords(user)
	}
	return brokenWords(err)
}

// refusalWords are what a SQLSTATE means for a connection.
func refusalWords(code, user, database string) string {
	switch code {
	case "28P01":
		return fmt.Sprintf("password authentication failed for user %q", user)
	case "28000":
		return fmt.Sprintf("the server does not admit user %q to database %q: see the role and the server's pg_hba.conf", user, database)
	case "3D000":
		return fmt.Sprintf("database %q does not exist", database)
	case "42501":
		return fmt.Sprintf("user %q lacks CONNECT on database %q", user, database)
	case "53300":
		return "the server has too many connections"
	case "57P03":
		return "the server is starting up or shutting down"
	case "22023", "42704", "42602":
		return "the server does not know a parameter of the URI, or its value"
	default:
		return "the server refuses the connection"
	}
}

func readOnlyWords(user string) string {
	return fmt.Sprintf("the session is read-only, so that no row could be settled: name the primary in the URI, or run: ALTER ROLE %s SET default_transaction_read_only = off", quote(user))
}

// brokenWords are what an error means that is not the server's answer.
func brokenWords(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "no such host"
		}
		return "the host's name cannot be resolved now"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is signed by an authority that is not known; see sslrootcert"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is for another host name"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not valid"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the server closed the connection"
	default:
		return "the connection failed: what answers may not be PostgreSQL, or may want another sslmode or another way to authenticate"
	}
}
