package relay

import "time"

// hold is why the records of a topic wait, while those of others go on: it is not
// there, or takes nothing now, or one of its records will never be taken.
type hold struct {
	backoff Backoff
	since   time.Time
	// until is when they are tried again; zero while they are.
	until   time.Time
	problem *Problem // nil where it is still to be seen what is wrong
	// suspects is how many records of the topic, from the first, have one among
	// them that will never be taken; 0 where none is known to. Half of them fly next.
	suspects int
}

// allTopics is held where it is not known which topic an item is for.
const allTopics = ""

// holds are the topics that are held, by name.
type holds map[string]*hold

func (h holds) of(topic string) *hold {
	if h[topic] == nil {
		h[topic] = &hold{since: time.Now()}
	}
	return h[topic]
}

// put holds a topic, each time longer.
func (h holds) put(topic string, problem *Problem) {
	one := h.of(topic)
	one.problem, one.suspects, one.until = problem, 0, time.Now().Add(one.backoff.Next())
}

// search holds a topic until half of so many records fly, of which one will never
// be taken.
func (h holds) search(topic string, suspects int) {
	one := h.of(topic)
	one.suspects, one.until = suspects, time.Now()
}

// passed notes that so many records of a topic were published, and none failed. It
// says whether others wait for that.
func (h holds) passed(topic string, n int) (held bool) {
	one := h[topic]
	if one == nil || !one.until.IsZero() { // it was held while they flew
		return false
	}
	if one.suspects > n {
		h.search(topic, one.suspects-n)
		return false
	}
	delete(h, topic)
	return true
}

// release has the topics tried again whose time has come, and says whether there
// are any.
func (h holds) release(now time.Time) (released bool) {
	for _, one := range h {
		if !one.until.IsZero() && !one.until.After(now) {
			one.until, released = time.Time{}, true
		}
	}
	return released
}

// next is when the first is tried again; zero where none waits for its time.
func (h holds) next() (next time.Time) {
	for _, one := range h {
		if !one.until.IsZero() && (next.IsZero() || one.until.Before(next)) {
			next = one.until
		}
	}
	return next
}

// forget drops those that are being tried again.
func (h holds) forget() {
	for topic, one := range h {
		if one.until.IsZero() {
			delete(h, topic)
		}
	}
}

// opened notes that every item that was read is for a topic that is known.
func (h holds) opened() {
	if !h.closed() {
		delete(h, allTopics)
	}
}

// closed says whether nothing may fly, of any topic.
func (h holds) closed() bool { return h[allTopics] != nil && !h[allTopics].until.IsZero() }

// room is how many records of a topic may fly now; −1 means any number.
func (h holds) room(topic string) int {
	one := h[topic]
	switch {
	case one == nil:
		return -1
	case !one.until.IsZero():
		return 0
	case one.suspects == 0:
		return -1
	default:
		return max(1, one.suspects/2)
	}
}

// problem is the oldest one; nil where nothing is held for a reason that is known.
func (h holds) problem() *Problem {
	var oldest *hold
	for _, one := range h {
		if one.problem != nil && (oldest == nil || one.since.Before(oldest.since)) {
			oldest = one
		}
	}
	if oldest == nil {
		return nil
	}
	return oldest.problem
}
