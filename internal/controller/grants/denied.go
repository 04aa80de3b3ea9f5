package grants

import (
	"strings"

	"github.com/weir-dev/weir/internal/kafka"
)

// defeats says whether a binding that denies takes back all of what another one
// allows: Kafka heeds denials first, and allows nothing without DESCRIBE.
//
// One that denies a part only, as from one host, or one group of a prefix, is
// somebody's decision about that part.
func defeats(denied, allowed kafka.Binding) bool {
	switch {
	case denied.Principal != allowed.Principal && denied.Principal != "User:*",
		denied.Host != "*",
		denied.Resource != allowed.Resource,
		denied.Operation != allowed.Operation && denied.Operation != kafka.OperationAll && denied.Operation != kafka.OperationDescribe:
		return false
	case denied.Pattern == kafka.PatternPrefixed:
		return strings.HasPrefix(allowed.Name, denied.Name)
	default:
		return denied.Name == "*" || allowed.Pattern == kafka.PatternLiteral && denied.Name == allowed.Name
	}
}
