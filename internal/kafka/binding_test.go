package kafka_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-dev/weir/internal/kafka"
)

func TestGrants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reason string
		got    []kafka.Binding
		want   []string
	}{
		{"a producer writes", kafka.Produce("User:checkout", "shop.orders"), []string{
			"User:checkout * WRITE Topic Literal shop.orders",
		}},
		{"a transactional id", kafka.ProduceTransactional("User:ledger", "ledger"), []string{
			"User:ledger * WRITE TransactionalID Literal ledger",
		}},
		{"transactional ids by prefix", kafka.ProduceTransactional("User:ledger", "ledger-*"), []string{
			"User:ledger * WRITE TransactionalID Prefixed ledger-",
		}},
		{"a consumer reads", kafka.Consume("User:billing", "shop.orders"), []string{
			"User:billing * READ Topic Literal shop.orders",
		}},
		{"a group", kafka.ReadGroup("User:billing", "billing"), []string{"User:billing * READ Group Literal billing"}},
		{"groups by prefix", kafka.ReadGroup("User:billing", "billing-*"), []string{"User:billing * READ Group Prefixed billing-"}},
		{"every group", kafka.ReadGroup("User:billing", "*"), []string{"User:billing * READ Group Literal *"}},
	} {
		var lines []string
		for _, binding := range test.got {
			lines = append(lines, binding.String())
		}
		if diff := cmp.Diff(test.want, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestParseBindingRefusals(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                     "field 1: is empty",
		"User:a":                               "want 6 fields, have 1",
		"User:a * ":                            "field 3: is empty",
		`User:a "* `:                           "field 2: invalid syntax",
		"User:a * READ Topic Literal t x":      "want 6 fields, have more",
		`User:a * READ Topic Literal "t"x`:     "want 6 fields, have more",
		"a * READ Topic Literal t":             `principal "a": want type:name`,
		"User:a * read Topic Literal t":        `unknown operation "read"`,
		"User:a * ANY Topic Literal t":         `unknown operation "ANY"`,
		"User:a * READ DelegationToken Any t":  `unknown resource "DelegationToken"`,
		"User:a * READ Topic Match t":          `unknown pattern "Match"`,
		`User:a * READ Topic Literal ""`:       "host or name is empty",
		`User:a "" READ Topic Literal orders`:  "host or name is empty",
		"User:a  * READ Topic Literal orders":  "field 2: is empty",
		"User:a\n* READ Topic Literal orders ": "field 6: is empty",
	} {
		if got, err := kafka.ParseBinding(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseBinding(%q) = %v, %v; want an error with %q", line, got, err, want)
		}
	}
}

func FuzzBindingRoundTrip(f *testing.F) {
	for _, seed := range []struct{ principal, name string }{
		{"User:billing", "shop.orders"},
		{"User:CN=relay, OU=Team A", "a group\twith spaces"},
		{`User:"quoted"`, `"`},
		{"User:\n", "é\x00\xff\u2028"},
		{"User: ", " "},
		{"User:\\", "\\"},
	} {
		f.Add(seed.principal, "*", seed.name)
	}
	f.Fuzz(func(t *testing.T, principal, host, name string) {
		binding := kafka.Binding{
			Principal: principal, Host: host, Operation: kafka.OperationRead,
			Resource: kafka.ResourceGroup, Pattern: kafka.PatternPrefixed, Name: name,
		}
		line := binding.String()
		if strings.ContainsAny(line, "\n\r\u2028\u0085") {
			t.Errorf("%q is more than one line", line)
		}
		kind, user, ok := strings.Cut(principal, ":")
		if !ok || kind == "" || user == "" || host == "" || name == "" {
			return // Kafka has no such binding
		}
		got, err := kafka.ParseBinding(line)
		if err != nil || got != binding {
			t.Errorf("%s\nread as %+v, %v\nwant    %+v", line, got, err, binding)
		}
	})
}
