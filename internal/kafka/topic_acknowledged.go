package kafka

import (
	"slices"
	"sync"
	"time"
)

const (
	// againAfter is when a change is made again that was acknowledged and is not
	// shown. Brokers lag behind the controller by seconds at most.
	againAfter = time.Minute
	// A change is contested when it was made contestedAt times, each within
	// forgetAfter of the one before, and for contestedFor after the last.
	contestedAt  = 3
	contestedFor = 10 * time.Minute
	forgetAfter  = time.Hour
)

// Unshown is a change that the cluster acknowledged and the brokers do not show.
type Unshown struct {
	Change
	// Since is when it was acknowledged first.
	Since time.Time

	created Topic
}

// acknowledgements remembers, for the topics of a cluster, which changes were
// acknowledged and what the brokers showed before them: as long as they show the
// same, the change is on its way or was swallowed, and making it again would
// help nobody. Safe for concurrent use.
type acknowledgements struct {
	mu     sync.Mutex
	topics map[string][]*acknowledgement // few a topic
}

// changeKey is what a change is about: the topic's existence, its partitions or
// one config key.
type changeKey struct {
	kind ChangeKind
	key  string
}

func keyOf(change Change) changeKey {
	kind := change.Kind
	if kind == ResetConfig {
		kind = SetConfig // the same key
	}
	return changeKey{kind, change.Key}
}

type acknowledgement struct {
	change  Change
	created Topic
	// topic is the ID of the topic as it was found, empty for a creation.
	topic string
	// first and last are when it was acknowledged first and last, times how often.
	first, last time.Time
	times       int
	// shown: the brokers have shown it since.
	shown bool
}

// same says whether a planned change is the acknowledged one, on the same topic,
// with the brokers showing what they showed before.
func (a *acknowledgement) same(have Topic, change Change) bool {
	return a.topic == have.ID && a.asksFor(change) && !a.shown &&
		a.change.Old == change.Old && a.change.Overridden == change.Overridden
}

func (a *acknowledgement) asksFor(change Change) bool {
	return a.change.Kind == change.Kind && a.change.Value == change.Value && a.change.Partitions == change.Partitions
}

// due divides planned changes of a topic that is shown as have: those to make
// now, and those that were acknowledged a moment ago. Contested are those that
// had to be made again and again.
func (k *acknowledgements) due(name string, have Topic, planned []Change) (now []Change, unshown []Unshown, contested []Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	differs := map[changeKey]bool{}
	for _, change := range planned {
		key := keyOf(change)
		differs[key] = true
		one := k.of(name, key)
		if one != nil && one.same(have, change) && time.Since(one.last) < againAfter {
			unshown = append(unshown, Unshown{Change: change, Since: one.first, created: one.created})
			continue
		}
		now = append(now, change)
	}
	if len(k.topics[name]) == 0 {
		return now, unshown, contested
	}
	k.topics[name] = slices.DeleteFunc(k.topics[name], func(one *acknowledgement) bool {
		age := time.Since(one.last)
		one.shown = one.shown || !differs[keyOf(one.change)]
		isContested := one.times >= contestedAt && age < contestedFor
		if isContested {
			contested = append(contested, one.change)
		}
		return one.shown && age > forgetAfter && !isContested
	})
	return now, unshown, contested
}

// of is what is known of a change to a topic; nil where nothing is.
func (k *acknowledgements) of(name string, key changeKey) *acknowledgement {
	for _, one := range k.topics[name] {
		if keyOf(one.change) == key {
			return one
		}
	}
	return nil
}

// add remembers a change that was made on a topic that was shown as have.
func (k *acknowledgements) add(name string, have Topic, one applied) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.topics == nil {
		k.topics = map[string][]*acknowledgement{}
	}
	now := time.Now()
	known := k.of(name, keyOf(one.Change))
	if known == nil {
		known = &acknowledgement{}
		k.topics[name] = append(k.topics[name], known)
	} else if !known.asksFor(one.Change) || now.Sub(known.last) > forgetAfter {
		*known = acknowledgement{}
	}
	if known.first.IsZero() || known.shown {
		known.first = now
	}
	known.change, known.created, known.topic = one.Change, one.created, have.ID
	known.last, known.shown = now, false
	known.times++
}

// forget drops what is known of a topic.
func (k *acknowledgements) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.topics, name)
}
