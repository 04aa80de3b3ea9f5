package postgres

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// canary stands for what nobody may read who cannot read the Secret.
const canary = "s3cretcanary"

// Any key of any Secret of the namespace can be named as the database's URI, by
// a user who may not read Secrets: the worker's problem becomes a condition and
// an event of the OutboxRelay.
func TestNothingOfASecretIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"a password":           {canary, "it does not begin with postgresql://"},
		"a token":              {"eyJhbGciOiJIUzI1NiJ9." + canary + ".sig", "it does not begin with postgresql://"},
		"a private key":        {"-----BEGIN PRIVATE KEY-----\nMIIEvQ" + canary + "\n-----END PRIVATE KEY-----\n", "it does not begin with postgresql://"},
		"empty":                {" \n", "it is empty"},
		"no scheme":            {"relay:" + canary + "@host/db", "it does not begin with postgresql://"},
		"in one quote":         {`"postgresql://relay:` + canary + `@host/db`, "it does not begin with postgresql://"},
		"another scheme":       {"mysql://relay:" + canary + "@host/db", "it does not begin with postgresql://"},
		"JDBC without a user":  {"jdbc:postgresql://host/db?password=" + canary, "it names no user"},
		"keywords":             {"host=h password=" + canary, "it consists of keywords"},
		"keywords with spaces": {"host = h password = 'S3 " + canary + "'", "it consists of keywords"},
		"a raw percent sign":   {"postgresql://relay:first:second@third%zz" + canary + "host/db", "it cannot be parsed"},
		"a raw slash":          {"postgresql://relay:12/" + canary + "@host/db", "it has more than one @"},
		"a raw question mark":  {"postgresql://relay:12?" + canary + "@host/db", "it has more than one @"},
		"a raw hash":           {"postgresql://relay:12#" + canary + "@host/db", "it has more than one @"},
		"a raw @":              {"postgresql://relay:p@" + canary + "@host/db", "it has more than one @"},
		"a port in words":      {"postgresql://relay:x@host:" + canary + "/db", "it cannot be parsed"},
		"a control character":  {"postgresql://relay:\x01" + canary + "@host/db", "it cannot be parsed"},
		"a bad parameter":      {"postgresql://relay:x@host/db?sslmode=" + canary, "a parameter in it is not valid"},
		"a missing file":       {"postgresql://relay:x@host/db?sslmode=verify-full&sslrootcert=/" + canary, "a parameter in it is not valid"},
		"no host":              {"postgresql:///" + canary, "it names no host"},
		"a password as a port": {"postgresql://relay:12345/" + canary, "it names no user"},
		"a password as a host": {"postgresql://" + canary + "/db", "it names no user"},
		"no database":          {"postgresql://relay:" + canary + "@host", "it names no database"},
	} {
		file := filepath.Join(t.TempDir(), "uri")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Connect(t.Context(), file, "shop/orders", time.Second)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		problem := Problem(err)
		want := "the key that spec.database.connectionSecretRef names holds no usable postgresql:// URI: " + test.want
		if problem.Reason != SecretInvalid || !strings.HasPrefix(problem.Message, want) {
			t.Errorf("%s:\ngot  %s: %s\nwant %s: %s…", name, problem.Reason, problem.Message, SecretInvalid, want)
		}
		for cause := error(problem); cause != nil; {
			if strings.Contains(cause.Error(), canary) {
				t.Errorf("%s: the problem tells the Secret: %v", name, cause)
			}
			wrapper, ok := cause.(interface{ Unwrap() error })
			if !ok {
				break
			}
			cause = wrapper.Unwrap()
		}
	}
}

func TestURIs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]string{
		"postgresql://app:pw@db.shop.svc:5432/app":                        {"app", "pw", "app"},
		"postgresql://h/db?user=app&password=pw":                          {"app", "pw", "db"},
		"postgres://app:p%40ss%2Fw%25@h/db":                               {"app", "p@ss/w%", "db"},
		"postgresql://app:pw@one:1,two:2/db?target_session_attrs=standby": {"app", "pw", "db"},
		"jdbc:postgresql://h:5432/db?user=app&password=pw&ssl=true":       {"app", "pw", "db"},
		"postgresql+psycopg2://app:pw@h/db":                               {"app", "pw", "db"},
		`"postgresql://app:pw@h/db"`:                                      {"app", "pw", "db"},
		"'postgresql://app:pw@h/db?schema=public&pgbouncer=true'":         {"app", "pw", "db"},
	} {
		config, fault := parseURI(text)
		if fault != "" {
			t.Errorf("%s: %s", text, fault)
			continue
		}
		if got := [3]string{config.User, config.Password, config.Database}; got != want || len(config.RuntimeParams) > 0 {
			t.Errorf("%s: got %q, want %q; the server is asked for %v", text, got, want, config.RuntimeParams)
		}
	}
}

// What is for another client is dropped, and what is for the server is passed on.
func TestParametersOfOtherClients(t *testing.T) {
	t.Parallel()
	for _, name := range foreign {
		config, fault := parseURI("postgresql://app:pw@h/db?" + name + "=1&search_path=app&" + name + "=2")
		if fault != "" || !maps.Equal(config.RuntimeParams, map[string]string{"search_path": "app"}) {
			t.Errorf("%s: %q; the server is asked for %v", name, fault, config.RuntimeParams)
		}
	}
}

func FuzzURIs(f *testing.F) {
	f.Add("postgresql://relay:", "@host/db")
	f.Add("postgresql://host/db?password=", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		if _, fault := parseURI(before + canary + after); strings.Contains(fault, canary) {
			t.Error(fault)
		}
	})
}
