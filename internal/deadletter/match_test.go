package deadletter

import "testing"

func TestMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, class string
		want           bool
	}{
		{"SchemaException", "SchemaException", true},
		{"SchemaException", "AvroSchemaException", false},
		{"*SchemaException", "org.apache.SchemaException", true},
		{"*SchemaException", "SchemaException", true},
		{"*SchemaException", "SchemaExceptions", false},
		{"org.apache.*", "org.apache.SchemaException", true},
		{"org.apache.*", "org.apach", false},
		{"*Schema*", "AvroSchemaException", true},
		{"*Schema*", "AvroException", false},
		{"Schema", "", false},
		{"schema", "Schema", false},
	}
	for _, test := range tests {
		if got := matches(test.pattern, test.class); got != test.want {
			t.Errorf("matches(%q, %q) = %t", test.pattern, test.class, got)
		}
	}
}

func TestCheckPattern(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "*", "**", "a*b", "***", "**a"} {
		if checkPattern(pattern) == nil {
			t.Errorf("pattern %q was accepted", pattern)
		}
	}
	for _, pattern := range []string{"a", "*a", "a*", "*a*"} {
		if err := checkPattern(pattern); err != nil {
			t.Errorf("pattern %q: %v", pattern, err)
		}
	}
}
