package postgres

import (
	"fmt"
	"net/url"
	"os"
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

// parseURI parses a connection URI. Where it cannot, fault says why, and
// nothing of the text: it may be any key of any Secret, named by mistake, and a
// parser's error quotes what it has read.
func parseURI(text string) (config *pgx.ConnConfig, fault string) {
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case text == "":
		return nil, "it is empty"
	case strings.HasPrefix(text, "jdbc:"):
		return nil, "it begins with jdbc:; name the key that holds the plain URI (CloudNativePG writes it under uri)"
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
