package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"":                       {""},
		"short":                  {"short"},
		"exactly twelve":         {"exactly", "    twelve"},
		"twelve chars":           {"twelve chars"},
		"onewordthatistoolong":   {"onewordthati", "    stoolong"},
		"ä ö ü ß á é í ó":        {"ä ö ü ß á é", "    í ó"},
		"one two three four six": {"one two", "    three", "    four six"},
	} {
		if diff := cmp.Diff(want, fold(line, 12)); diff != "" {
			t.Errorf("fold(%q) (-want +got):\n%s", line, diff)
		}
	}
}
