package names

import (
	"cmp"
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/deadletter"
)

// Claim is what one resource that its KafkaCluster admits wants to name.
type Claim struct {
	Ref     record.Ref
	Created time.Time
	Allowed Allowed
	// Names are for this resource alone.
	Names []record.Key
	// Lane is that of the group in Names; nil without dead letter topics.
	Lane *record.Lane
	// Uses are patterns of groups and transactional IDs that the resource grants
	// rights on. Several resources of a namespace may use the same.
	Uses []record.Key
}

// name is a name that a resource claims or holds.
type name struct {
	key  record.Key
	lane bool
}

// names lists the names of a claim, those of its lane last. A group whose lane
// cannot be named claims no lane: its policy is refused elsewhere.
func (c Claim) names() []name {
	var all []name
	for _, key := range c.Names {
		all = append(all, name{key: key})
		if c.Lane != nil && key.Kind == record.Group {
			all = append(all, lane(key, c.Lane)...)
		}
	}
	return all
}

func lane(group record.Key, of *record.Lane) []name {
	topics, err := deadletter.Topics(group.Name, of.Waits)
	if err != nil {
		return nil
	}
	var all []name
	for _, topic := range topics {
		all = append(all, name{record.Key{Kind: record.Topic, Name: topic}, true})
	}
	return all
}

// older orders by age, then by name.
func older(a, b contender) int {
	return cmp.Or(a.created.Compare(b.created), compareRefs(a.ref, b.ref))
}

func compareRefs(a, b record.Ref) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// Outcome is what became of a claim.
type Outcome string

// The outcomes.
const (
	Mine        Outcome = "Mine"
	Theirs      Outcome = "Theirs"      // another resource has the name, or its namespace still does
	OutsideRule Outcome = "OutsideRule" // the rules do not allow it, or it is reserved
	Exists      Outcome = "Exists"      // a lane's topic is there and is not Weir's: lanes adopt nothing
)

// Verdict is about one claim: Mine, or the first of its names that is not.
type Verdict struct {
	Outcome Outcome
	// Key is the name or pattern that decided, where the outcome is not Mine.
	Key record.Key
	// By is who has it, where the outcome is Theirs.
	By record.Ref
	// Why is the rule's words, where the outcome is OutsideRule.
	Why string
	// Kept: the record has the name for this resource. What is made of it stays
	// as it is, but nothing is added.
	Kept bool
}
