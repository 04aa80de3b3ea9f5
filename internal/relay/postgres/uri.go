package postgres

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/internal/relay"
)

// readURI reads the connection URI in a file of a mounted Secret. The error is
// a *relay.Problem.
func readURI(file string) (*pgx.ConnConfig, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &relay.Problem{Reason: SecretInvalid, Err: err,
			Message: "the Secret with the database's URI cannot be read: " + err.Error()}
	}
	config, fault := parseURI(strings.TrimSpace(string(text)))
	if fault != "" {
		return nil, &relay.Problem{Reason: SecretInvalid, Message: fmt.Sprintf(
			"the key that spec.database.connectionSecretRef names holds no usable postgresql:// URI: %s", fault)}
	}
	return config, nil
}

// foreign are parameters of a URI that are for another client than this one: what
// libpq, the JDBC driver and Prisma do by themselves. A server refuses a session
// that asks for one of them.
var foreign = strings.Fields(`
	channel_binding client_encoding fallback_application_name gssdelegation gssencmode gsslib hostaddr keepalives
	keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts max_protocol_version
	min_protocol_version replication require_auth requirepeer requiressl sslcertmode sslcompression sslcrl sslcrldir
	ssl_max_protocol_version ssl_min_protocol_version tcp_user_timeout

	ApplicationName adaptiveFetch autosave binaryTransfer connectTimeout currentSchema defaultRowFetchSize
	loadBalanceHosts loginTimeout prepareThreshold reWriteBatchedInserts socketTimeout ssl sslfactory stringtype
	targetServerType tcpKeepAlive

	connection_limit pgbouncer pool_timeout schema socket_timeout sslaccept statement_cache_size`)

// plainURI is a connection URI as people have it, without the quotes of an .env file,
// the prefixes of drivers and what is for another client.
func plainURI(text string) string {
	for _, quote := range []string{`"`, "'"} {
		if inner, ok := strings.CutPrefix(text, quote); ok && strings.HasSuffix(inner, quote) {
			text = strings.TrimSpace(strings.TrimSuffix(inner, quote))
		}
	}
	text = strings.TrimPrefix(text, "jdbc:")
	if scheme, rest, found := strings.Cut(text, "://"); found && strings.HasPrefix(scheme, "postgresql+") {
		text = "postgresql://" + rest // of SQLAlchemy, with its driver
	}
	base, query, found := strings.Cut(text, "?")
	if !found || strings.Contains(query, "@") {
		return text
	}
	own := slices.DeleteFunc(strings.Split(query, "&"), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return slices.Contains(foreign, name)
	})
	if len(own) == 0 {
		return base
	}
	return base + "?" + strings.Join(own, "&")
}

// parseURI parses a connection URI. Where it cannot, fault says why, and
// nothing of the text: it may be any key of any Secret, named by mistake, and a
// parser's error quotes what it has read.
func parseURI(text string) (config *pgx.ConnConfig, fault string) {
	text = plainURI(text)
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case text == "":
		return nil, "it is empty"
	case !found && strings.Contains(text, "="):
		return nil, "it consists of keywords (host=… user=…); write it as postgresql://user:password@host:port/database"
	case !found || scheme != "postgresql" && scheme != "postgres":
		return nil, "it does not begin with postgresql://"
	}
	end := strings.IndexAny(rest, "/?#")
	if at := strings.LastIndex(rest, "@"); strings.Count(rest, "@") > 1 || end >= 0 && at > end {
		// A part of the password would be read as host, port, path or query.
		return nil, "it has more than one @, or an @ after a /, ? or #: write special characters of the user name and the password as %40, %2F, %3F, %23"
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "it cannot be parsed: write special characters of the user name and the password percent-encoded, as in %25, and the port as a number"
	case parsed.Host == "":
		return nil, "it names no host"
	case parsed.User.Username() == "" && parsed.Query().Get("user") == "":
		// What is meant as user and password would be read, and told, as host and port.
		return nil, "it names no user: write it as postgresql://user:password@host:port/database"
	case strings.Trim(parsed.Path, "/") == "":
		return nil, "it names no database after the host"
	}
	if config, err = pgx.ParseConfig(text); err != nil {
		return nil, "a parameter in it is not valid: check the port, sslmode and the files that it names"
	}
	return config, ""
}
