package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// TopicSpec is what a topic should be.
type TopicSpec struct {
	Name string
	// Partitions is not managed where it is 0.
	Partitions int32
	// Replicas is not managed where it is 0.
	Replicas int16
	// Config holds the topic-level overrides that are ours. Other keys are
	// left alone.
	Config map[string]string
	// Set holds the config values that we set and the cluster acknowledged. A
	// key that is not in Config any more is reset where it still has that value.
	Set map[string]string

	// DefaultPartitions, DefaultReplicas and DefaultConfig fill in at creation
	// what the spec leaves open; 0 means the broker's own default. They never
	// change a topic that exists.
	DefaultPartitions int32
	DefaultReplicas   int16
	DefaultConfig     map[string]string
}

// Topic is a topic as a broker shows it.
type Topic struct {
	Name string
	// ID is Kafka's topic ID in Kafka's notation, empty where the broker is too old for it.
	ID string
	// Exists is false for a topic that the broker does not know; nothing but
	// Name is set then.
	Exists bool
	// Internal topics are Kafka's own.
	Internal   bool
	Partitions int32
	// Replicas is the smallest number of replicas of any partition.
	Replicas int16
	// Config holds the topic-level overrides, in Kafka's notation of the
	// values, and no default of the broker.
	Config map[string]string
}

// ChangeKind is what a Change does.
type ChangeKind uint8

// The kinds of changes.
const (
	// CreateTopic creates the topic with Partitions, Replicas and Config.
	CreateTopic ChangeKind = iota + 1
	// GrowTopic raises the number of partitions from OldPartitions to Partitions.
	GrowTopic
	// SetConfig overrides Key with Value.
	SetConfig
	// ResetConfig takes the override of Key away.
	ResetConfig
)

// Change is one step from a Topic to its TopicSpec.
type Change struct {
	Kind ChangeKind

	// Partitions and Replicas are 0 where a creation leaves them to the broker.
	Partitions    int32
	OldPartitions int32
	Replicas      int16
	// Config is what a topic is created with.
	Config map[string]string

	Key   string
	Value string
	// Old is the override that is replaced or taken away, where Overridden.
	Old        string
	Overridden bool
}

// String describes the change in the words of an event.
func (c Change) String() string {
	switch c.Kind {
	case CreateTopic:
		words := fmt.Sprintf("created with %s, %s", count(int(c.Partitions), "partition"), count(int(c.Replicas), "replica"))
		if len(c.Config) == 0 {
			return words
		}
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(c.Config)) {
			pairs = append(pairs, key+"="+c.Config[key])
		}
		return words + ", config " + strings.Join(pairs, " ")
	case GrowTopic:
		return fmt.Sprintf("partitions: %d -> %d", c.OldPartitions, c.Partitions)
	case SetConfig:
		if !c.Overridden {
			return fmt.Sprintf("config %s: default -> %s", c.Key, c.Value)
		}
		return fmt.Sprintf("config %s: %s -> %s", c.Key, c.Old, c.Value)
	case ResetConfig:
		return fmt.Sprintf("config %s: %s -> default", c.Key, c.Old)
	default:
		return fmt.Sprintf("unknown change %d", c.Kind)
	}
}

func count(n int, thing string) string {
	switch n {
	case 0:
		return "default " + thing + "s"
	case 1:
		return "1 " + thing
	default:
		return fmt.Sprintf("%d %ss", n, thing)
	}
}

// TopicPlan is what PlanTopic decided.
type TopicPlan struct {
	// Changes are to be applied, also where something is refused.
	Changes []Change
	// Refused says which parts of the spec cannot be had.
	Refused []*Error
}

// PlanTopic decides how have becomes want:
//
//	have            want                 plan
//	absent          anything             create, defaults where the spec is silent
//	3 partitions    6                    grow
//	6 partitions    3                    refused: PartitionsNotShrinkable
//	3 replicas      2                    refused: ReplicasImmutable
//	a=1             a=2                  set a
//	a=1             a gone, we set a=1   reset a
//	a=1             a gone, we set a=2   nothing: somebody else has changed it
//	a=1             a gone, never set    nothing: a is not ours
//	as wanted       the same             nothing
//
// Config is a three-way merge, as in kubectl apply: what we set, what is
// declared, what is there.
//
// A refusal leaves the rest of the plan as it is. The changes are in a fixed
// order: creation or growth first, then config by key.
func PlanTopic(want TopicSpec, have Topic) TopicPlan {
	if !have.Exists {
		return TopicPlan{Changes: []Change{creation(want)}}
	}
	var plan TopicPlan
	switch {
	case want.Partitions == 0 || want.Partitions == have.Partitions:
	case want.Partitions > have.Partitions:
		plan.Changes = append(plan.Changes, Change{
			Kind: GrowTopic, OldPartitions: have.Partitions, Partitions: want.Partitions,
		})
	default:
		plan.Refused = append(plan.Refused, &Error{
			Class: Rejected, Reason: PartitionsNotShrinkable,
			Message: fmt.Sprintf("topic %s has %s and Kafka cannot take partitions away; set partitions to %d or more instead of %d",
				want.Name, count(int(have.Partitions), "partition"), have.Partitions, want.Partitions),
		})
	}
	if want.Replicas != 0 && want.Replicas != have.Replicas {
		plan.Refused = append(plan.Refused, &Error{
			Class: Rejected, Reason: ReplicasImmutable,
			Message: fmt.Sprintf("topic %s has %s and Weir does not move replicas yet; set replicas to %d instead of %d or leave it out, or reassign the partitions with kafka-reassign-partitions",
				want.Name, count(int(have.Replicas), "replica"), have.Replicas, want.Replicas),
		})
	}
	plan.Changes = append(plan.Changes, configChanges(want, have)...)
	return plan
}

func creation(want TopicSpec) Change {
	change := Change{Kind: CreateTopic, Partitions: want.Partitions, Replicas: want.Replicas, Config: map[string]string{}}
	if change.Partitions == 0 {
		change.Partitions = want.DefaultPartitions
	}
	if change.Replicas == 0 {
		change.Replicas = want.DefaultReplicas
	}
	maps.Copy(change.Config, want.DefaultConfig)
	maps.Copy(change.Config, want.Config)
	return change
}

func configChanges(want TopicSpec, have Topic) []Change {
	keys := slices.Concat(slices.Collect(maps.Keys(want.Config)), slices.Collect(maps.Keys(want.Set)))
	slices.Sort(keys)
	var changes []Change
	for _, key := range slices.Compact(keys) {
		value, declared := want.Config[key]
		set := want.Set[key]
		old, overridden := have.Config[key]
		switch {
		case declared && (!overridden || !sameValue(old, value)):
			changes = append(changes, Change{Kind: SetConfig, Key: key, Value: value, Old: old, Overridden: overridden})
		case !declared && overridden && sameValue(old, set):
			changes = append(changes, Change{Kind: ResetConfig, Key: key, Old: old, Overridden: true})
		}
	}
	return changes
}

// sameValue reports whether two notations mean the same config value. Kafka
// parses what it is sent and answers in its own notation: "compact, delete"
// comes back as "compact,delete", "0.50" as "0.5" and "TRUE" as "true". Lists
// are sets: brokers differ in order and in whether they keep what is said twice.
// Without this, such a value would be set again in every pass.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	return slices.Equal(elements(a), elements(b))
}

// elements are the members of a list, sorted, each once; those of a plain value
// are the value.
func elements(value string) []string {
	list := strings.Split(value, ",")
	for i := range list {
		list[i] = canonical(list[i])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func canonical(value string) string {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	if f, err := strconv.ParseFloat(value, 64); err == nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	if strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
		return strings.ToLower(value)
	}
	return value
}
