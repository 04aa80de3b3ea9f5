package names

import (
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/weir-dev/weir/internal/controller/record"
)

// Rule says what the namespaces that it selects may name. A pattern is an exact
// name, or a prefix with a trailing *; ${namespace} stands for the namespace.
type Rule struct {
	Namespaces       labels.Selector
	Topics           []string
	Groups           []string
	TransactionalIDs []string
}

// Policy is what a KafkaCluster says of names.
type Policy struct {
	// Free allows every name that is not reserved. Rules do not count then.
	Free bool
	// Rules are added up for a namespace that several of them select. One that
	// none selects may use ${namespace}.* for all kinds.
	Rules []Rule
}

var ownPrefix = []string{"${namespace}.*"}

// For returns what a namespace with these labels may name.
func (p Policy) For(namespace string, of labels.Set) Allowed {
	if p.Free {
		all := []string{"*"}
		return Allowed{record.Topic: all, record.Group: all, record.TransactionalID: all}
	}
	allowed := Allowed{}
	selected := false
	for _, rule := range p.Rules {
		if rule.Namespaces.Matches(of) {
			selected = true
			allowed.add(rule, namespace)
		}
	}
	if !selected {
		allowed.add(Rule{Topics: ownPrefix, Groups: ownPrefix, TransactionalIDs: ownPrefix}, namespace)
	}
	return allowed
}

// Allowed are the patterns that a namespace's names of each kind lie in.
type Allowed map[record.Kind][]string

func (a Allowed) add(rule Rule, namespace string) {
	for kind, patterns := range map[record.Kind][]string{
		record.Topic:           rule.Topics,
		record.Group:           rule.Groups,
		record.TransactionalID: rule.TransactionalIDs,
	} {
		for _, pattern := range patterns {
			a[kind] = append(a[kind], strings.ReplaceAll(pattern, "${namespace}", namespace))
		}
	}
}

// allows reports whether all that a pattern stands for lies in one of the rules'.
func (a Allowed) allows(kind record.Kind, pattern string) bool {
	for _, rule := range a[kind] {
		if within(pattern, rule) {
			return true
		}
	}
	return false
}

// words says what is allowed, for a condition's message.
func (a Allowed) words(kind record.Kind) string {
	if len(a[kind]) == 0 {
		return "this namespace may name no " + plural[kind]
	}
	return "this namespace may name " + plural[kind] + " " + strings.Join(a[kind], ", ")
}

var plural = map[record.Kind]string{
	record.Topic:           "topics",
	record.Group:           "groups",
	record.TransactionalID: "transactional IDs",
}

// within reports whether every name of pattern is one of rule.
func within(pattern, rule string) bool {
	prefix, open := strings.CutSuffix(rule, "*")
	if !open {
		return pattern == rule
	}
	name, _ := strings.CutSuffix(pattern, "*")
	return strings.HasPrefix(name, prefix)
}
