package names

import (
	"strings"

	"github.com/weir-dev/weir/internal/controller/record"
)

// Reserved are names that no resource may have: what Metadata calls internal,
// and Weir's own. Whatever begins with "__" is reserved without being listed.
type Reserved map[record.Key]struct{}

// refuses says why nobody may have a pattern; empty where somebody may.
func (r Reserved) refuses(kind record.Kind, pattern string) string {
	if strings.HasPrefix(pattern, "__") {
		return "names that begin with __ are reserved"
	}
	for key := range r {
		if key.Kind == kind && (within(key.Name, pattern) || kind != record.TransactionalID && fold(key) == fold(record.Key{Kind: kind, Name: pattern})) {
			return key.Name + " is reserved"
		}
	}
	return ""
}

// fold is a name as Kafka's metrics see it, where a dot is an underscore: two
// topics that differ in nothing else collide. Groups do as well, since their
// lanes are topics.
func fold(key record.Key) record.Key {
	if key.Kind != record.TransactionalID {
		key.Name = strings.ReplaceAll(key.Name, ".", "_")
	}
	return key
}
