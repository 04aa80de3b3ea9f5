package settle

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ message, want string }{
		"short":             {"a b", "a b"},
		"lines":             {"a\n\tb ", "a b"},
		"long":              {strings.Repeat("x", 5000), strings.Repeat("x", 4093) + "…"},
		"cut in a letter":   {strings.Repeat("x", 4092) + "ééé", strings.Repeat("x", 4092) + "…"},
		"as long as it may": {strings.Repeat("x", 4096), strings.Repeat("x", 4096)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fit(test.message)
			if got != test.want || len(got) > 4096 || !utf8.ValidString(got) {
				t.Errorf("fit makes %d bytes that end in %q of it", len(got), got[max(0, len(got)-10):])
			}
		})
	}
}
