package kafka

import (
	"cmp"
	"context"
	"errors"
	"maps"
)

// Ensured is what EnsureTopic found and did.
type Ensured struct {
	// Before is the topic as it was found; Exists is false where this call
	// created it.
	Before Topic
	// After is the topic as it is now: what the brokers show, with what the
	// cluster has acknowledged since, which they may show a moment later.
	After Topic
	// Changes were made by this call.
	Changes []Change
	// Set is TopicSpec.Set for the next call.
	Set map[string]string
	// Unshown are changes of an earlier call that the cluster acknowledged and
	// the brokers do not show. They are not made again for a while.
	Unshown []Unshown
	// Contested are changes that had to be made again and again, since somebody
	// else takes them back; Old is what was found the last time.
	Contested []Change
}

// EnsureTopic makes a topic what spec says: it observes, plans and applies. It
// changes nothing where nothing differs, and not again what the cluster has
// acknowledged a moment ago. A part of the spec that is refused does not keep
// the rest from being applied: then Ensured says what was done, and the error,
// a *Error, what was not. Concurrent calls share their requests.
func (c *Cluster) EnsureTopic(ctx context.Context, spec TopicSpec) (Ensured, error) {
	have, err := c.ObserveTopic(ctx, spec.Name)
	if err != nil {
		return Ensured{Set: spec.Set}, err
	}
	return c.EnsureFound(ctx, spec, have)
}

// EnsureFound is EnsureTopic for a topic that has been observed a moment ago.
func (c *Cluster) EnsureFound(ctx context.Context, spec TopicSpec, have Topic) (Ensured, error) {
	if err := cmp.Or(reserved(spec.Name), internal(have)); err != nil {
		return Ensured{Before: have, After: have, Set: spec.Set}, err
	}
	ensured, err := c.follow(ctx, spec, have)
	if !errors.Is(err, errExists) {
		return ensured, err
	}
	// Somebody else made it, or a creation whose answer was lost did.
	if have, err = c.ObserveTopic(ctx, spec.Name); err == nil && have.Exists {
		return c.follow(ctx, spec, have)
	}
	return ensured, cmp.Or(err, action{cluster: c, doing: "create topic " + spec.Name}.failed(errNotShown))
}

// errNotShown says that a topic exists and the broker that was asked does not
// know it yet.
var errNotShown = errors.New("it exists, and the brokers do not show it yet")

// follow makes a topic that was found as have what spec says. The error wraps
// errExists where it was to be created and exists.
func (c *Cluster) follow(ctx context.Context, spec TopicSpec, have Topic) (Ensured, error) {
	plan := PlanTopic(spec, have)
	var errs []error
	for _, refused := range plan.Refused {
		errs = append(errs, refused)
	}
	todo, unshown, contested := c.acknowledged.due(spec.Name, have, plan.Changes)
	result := Ensured{Before: have, After: have, Set: stillSet(spec), Unshown: unshown, Contested: contested}
	result.After.Config = maps.Clone(have.Config)
	for _, one := range unshown {
		result.take(spec, one.Change, one.created)
	}
	for _, one := range c.apply(ctx, spec.Name, todo) {
		if one.err != nil {
			errs = append(errs, one.err)
			continue
		}
		result.Changes = append(result.Changes, one.Change)
		result.take(spec, one.Change, one.created)
		c.acknowledged.add(spec.Name, have, one)
	}
	return result, together(errs)
}

// stillSet is what spec.Set still says of the keys that are declared. A key
// that was reset, or that somebody else has changed since, is not ours any more.
func stillSet(spec TopicSpec) map[string]string {
	set := map[string]string{}
	for key, value := range spec.Set {
		if _, declared := spec.Config[key]; declared {
			set[key] = value
		}
	}
	return set
}

// take enters a change that the cluster acknowledged.
func (e *Ensured) take(spec TopicSpec, change Change, created Topic) {
	switch change.Kind {
	case CreateTopic:
		e.After = created
		maps.Copy(e.Set, spec.Config)
	case GrowTopic:
		e.After.Partitions = change.Partitions
	case SetConfig:
		e.After.Config[change.Key] = change.Value
		e.Set[change.Key] = change.Value
	case ResetConfig:
		delete(e.After.Config, change.Key)
	}
}
