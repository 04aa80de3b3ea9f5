package deadletter

import (
	"fmt"
	"strings"
)

// matches reports whether an error class fits a pattern of permanentErrors.
func matches(pattern, class string) bool {
	text, anyPrefix := strings.CutPrefix(pattern, "*")
	text, anySuffix := strings.CutSuffix(text, "*")
	switch {
	case anyPrefix && anySuffix:
		return strings.Contains(class, text)
	case anyPrefix:
		return strings.HasSuffix(class, text)
	case anySuffix:
		return strings.HasPrefix(class, text)
	default:
		return class == text
	}
}

// checkPattern refuses patterns that would match every class or hide a * that
// does not mean what its author hopes.
func checkPattern(pattern string) error {
	text := strings.TrimSuffix(strings.TrimPrefix(pattern, "*"), "*")
	if text == "" || strings.Contains(text, "*") {
		return fmt.Errorf("%q: an error class must not be empty, and * may stand at its beginning and end only", pattern)
	}
	return nil
}
