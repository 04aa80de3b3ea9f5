package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		sub := filepath.Join(dir, name)
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, "outbox.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--dir=" + sub
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no subcommand":      {nil, usage},
		"unknown subcommand": {[]string{"redrive"}, usage},
		"unknown flag":       {[]string{"outbox", "--port=1"}, "flag provided but not defined: -port"},
		"argument":           {[]string{"outbox", "now"}, `unexpected argument "now"`},
		"no file":            {[]string{"outbox", "--dir=" + dir}, "reading the configuration: open "},
		"no JSON":            {[]string{"outbox", write("json", "{")}, "reading outbox.json: unexpected EOF"},
		"unknown field":      {[]string{"outbox", write("field", `{"title": "x"}`)}, `reading outbox.json: json: unknown field "title"`},
		"no name":            {[]string{"outbox", write("name", `{}`)}, "outbox.json: name is empty"},
		"engine": {[]string{"outbox", write("engine", `{"name": "a/b", "database": {"engine": "MySQL"}}`)},
			`outbox.json: database.engine is "MySQL"; this worker knows Postgres`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), test.args, &strings.Builder{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
