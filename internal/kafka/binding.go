package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The resources, patterns and operations of a Binding that Weir uses itself.
// Operation may be any of Kafka's.
const (
	ResourceTopic           = "Topic"
	ResourceGroup           = "Group"
	ResourceTransactionalID = "TransactionalID"
	ResourceCluster         = "Cluster"

	PatternLiteral  = "Literal"
	PatternPrefixed = "Prefixed"

	OperationRead     = "READ"
	OperationWrite    = "WRITE"
	OperationDescribe = "DESCRIBE"
	OperationAll      = "ALL"

	OperationDescribeConfigs = "DESCRIBE_CONFIGS"
)

// Binding is an ACL binding that allows; Weir makes no others. It is comparable.
type Binding struct {
	Principal string // "User:billing"
	Host      string // "*"
	Operation string // READ, WRITE, … in Kafka's spelling
	Resource  string // Topic, Group, TransactionalID or Cluster
	Pattern   string // Literal or Prefixed
	Name      string // the resource's name, or its prefix
}

// String writes the binding in one line which ParseBinding reads:
//
//	User:billing * READ Topic Literal shop.orders
//
// A field that is empty, starts with a quote or contains a space or what cannot
// be printed is quoted as in Go.
func (b Binding) String() string {
	fields := b.fields()
	for i, field := range fields {
		if needsQuotes(field) {
			fields[i] = strconv.Quote(field)
		}
	}
	return strings.Join(fields[:], " ")
}

func (b Binding) fields() [6]string {
	return [...]string{b.Principal, b.Host, b.Operation, b.Resource, b.Pattern, b.Name}
}

func needsQuotes(field string) bool {
	return field == "" || field[0] == '"' || strings.Contains(field, " ") ||
		strconv.Quote(field) != `"`+field+`"`
}

// ParseBinding reads what String wrote.
func ParseBinding(line string) (Binding, error) {
	var fields [6]string
	rest := line
	for i := range fields {
		if i > 0 {
			var spaced bool
			if rest, spaced = strings.CutPrefix(rest, " "); !spaced {
				return Binding{}, fmt.Errorf("binding %q: want 6 fields, have %d", line, i)
			}
		}
		var err error
		if fields[i], rest, err = cutField(rest); err != nil {
			return Binding{}, fmt.Errorf("binding %q: field %d: %w", line, i+1, err)
		}
	}
	if rest != "" {
		return Binding{}, fmt.Errorf("binding %q: want 6 fields, have more", line)
	}
	binding := Binding{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]}
	if err := binding.validate(); err != nil {
		return Binding{}, fmt.Errorf("binding %q: %w", line, err)
	}
	return binding, nil
}

func cutField(s string) (field, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		field, _, _ = strings.Cut(s, " ")
		if field == "" {
			return "", "", errors.New("is empty")
		}
		return field, s[len(field):], nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	field, err = strconv.Unquote(quoted)
	return field, s[len(quoted):], err
}

// Produce returns what a producer to a topic needs: WRITE, which implies DESCRIBE.
func Produce(principal, topic string) []Binding {
	return []Binding{
		{principal, "*", OperationWrite, ResourceTopic, PatternLiteral, topic},
	}
}

// Publish returns what one of Weir's workers needs to write to a topic: Produce,
// and DESCRIBE_CONFIGS, so that it knows how large a record may be.
func Publish(principal, topic string) []Binding {
	return append(Produce(principal, topic),
		Binding{principal, "*", OperationDescribeConfigs, ResourceTopic, PatternLiteral, topic})
}

// ProduceTransactional returns what a transactional producer needs besides
// Produce: WRITE on its transactional ids. A trailing * makes the pattern a prefix.
func ProduceTransactional(principal, idPattern string) []Binding {
	pattern, name := parsePattern(idPattern)
	return []Binding{
		{principal, "*", OperationWrite, ResourceTransactionalID, pattern, name},
	}
}

// Consume returns what a consumer of a topic needs besides ReadGroup: READ,
// which implies DESCRIBE.
func Consume(principal, topic string) []Binding {
	return []Binding{
		{principal, "*", OperationRead, ResourceTopic, PatternLiteral, topic},
	}
}

// ReadGroup returns what a member of a consumer group needs: READ, which
// implies DESCRIBE. A trailing * makes the pattern a prefix.
func ReadGroup(principal, groupPattern string) []Binding {
	pattern, name := parsePattern(groupPattern)
	return []Binding{{principal, "*", OperationRead, ResourceGroup, pattern, name}}
}

// parsePattern keeps "*" itself literal, which is Kafka's notation for every name.
func parsePattern(s string) (pattern, name string) {
	if prefix, ok := strings.CutSuffix(s, "*"); ok && prefix != "" {
		return PatternPrefixed, prefix
	}
	return PatternLiteral, s
}

// acl is a binding in the protocol's types.
type acl struct {
	operation kmsg.ACLOperation
	resource  kmsg.ACLResourceType
	pattern   kmsg.ACLResourcePatternType
}

var (
	resourceTypes = map[string]kmsg.ACLResourceType{
		ResourceTopic:           kmsg.ACLResourceTypeTopic,
		ResourceGroup:           kmsg.ACLResourceTypeGroup,
		ResourceTransactionalID: kmsg.ACLResourceTypeTransactionalId,
		ResourceCluster:         kmsg.ACLResourceTypeCluster,
	}
	patternTypes = map[string]kmsg.ACLResourcePatternType{
		PatternLiteral:  kmsg.ACLResourcePatternTypeLiteral,
		PatternPrefixed: kmsg.ACLResourcePatternTypePrefixed,
	}
	resourceNames = inverted(resourceTypes)
	patternNames  = inverted(patternTypes)
)

func inverted[K, V comparable](m map[K]V) map[V]K {
	inverse := make(map[V]K, len(m))
	for key, value := range m {
		inverse[value] = key
	}
	return inverse
}

// validate reports what Kafka would not understand.
func (b Binding) validate() error {
	if kind, name, ok := strings.Cut(b.Principal, ":"); !ok || kind == "" || name == "" {
		return fmt.Errorf("principal %q: want type:name, as in User:billing", b.Principal)
	}
	if _, ok := resourceTypes[b.Resource]; !ok {
		return fmt.Errorf("unknown resource %q", b.Resource)
	}
	if _, ok := patternTypes[b.Pattern]; !ok {
		return fmt.Errorf("unknown pattern %q", b.Pattern)
	}
	operation, err := kmsg.ParseACLOperation(b.Operation)
	if err != nil || operation.String() != b.Operation || operation <= kmsg.ACLOperationAny {
		return fmt.Errorf("unknown operation %q", b.Operation)
	}
	if b.Host == "" || b.Name == "" {
		return errors.New("host or name is empty")
	}
	return nil
}

// acl is for bindings that validate has passed; what is unknown becomes
// Kafka's UNKNOWN, which it refuses.
func (b Binding) acl() acl {
	operation, _ := kmsg.ParseACLOperation(b.Operation)
	return acl{operation, resourceTypes[b.Resource], patternTypes[b.Pattern]}
}

// Compare orders bindings by principal, then resource: negative where b comes
// before the other one, zero where they are equal.
func (b Binding) Compare(other Binding) int {
	return cmp.Or(
		cmp.Compare(b.Principal, other.Principal),
		cmp.Compare(b.Resource, other.Resource),
		cmp.Compare(b.Name, other.Name),
		cmp.Compare(b.Pattern, other.Pattern),
		cmp.Compare(b.Operation, other.Operation),
		cmp.Compare(b.Host, other.Host),
	)
}

// sortBindings sorts, and removes duplicates.
func sortBindings(bindings []Binding) []Binding {
	slices.SortFunc(bindings, Binding.Compare)
	return slices.Compact(bindings)
}
