package estate

import (
	"time"

	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

const (
	// kindDrain is who wants what the retry worker needs while it drains a lane:
	// its group may be gone.
	kindDrain = "Drain"
	// dryFor is how long nothing must have waited in a lane until it is drained: a
	// record may be on its way from a service that has just lost its rights.
	dryFor = 10 * time.Second
	// absentFor is how long a group must not have been there, although nobody saw
	// it go, until its lane is drained.
	absentFor = 10 * time.Minute
)

// Retry is how the retry workers are with a group.
type Retry struct {
	// Digest is that of the group's file as all of them that answer have read it;
	// empty where they differ, or have none.
	Digest string
	// Problem is what keeps them from moving records of the group; nil where
	// nothing does.
	Problem *config.Problem
	// Waiting is how many records wait in a lane that is drained; nil while that
	// is not known.
	Waiting *int64
}

// Has says whether they have all read what they are told now.
func (r Retry) Has(told config.RetryGroup) bool { return r.Digest == config.Digest(ToldText(told)) }

func (r Retry) same(other Retry) bool {
	sameProblem := r.Problem == nil && other.Problem == nil ||
		r.Problem != nil && other.Problem != nil && r.Problem.Reason == other.Problem.Reason && r.Problem.Message == other.Problem.Message
	return r.Digest == other.Digest && sameProblem && (r.Waiting == nil) == (other.Waiting == nil)
}

// lanes is what is known of the lanes of a cluster besides the record. The lock of
// the Estate guards it.
type lanes struct {
	// worker is the principal of the retry worker; empty where there is none.
	worker string
	// draining has who wants what of the lanes that are drained.
	draining map[record.Key]record.Ref
	// retries are what the workers say, by group ID; nil while none answers.
	retries map[string]Retry
	// settling: a worker has not read yet what it is told, or drains a lane.
	settling bool
	// dry is since when nothing waits in a lane.
	dry map[record.Key]time.Time
	// absent is since when the resource of a group has not been there.
	absent map[record.Key]time.Time
}

// RetryOf is what the retry workers say of a group; known says whether one has
// answered.
func (e *Estate) RetryOf(group string) (retry Retry, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	retry, known = e.lanes.retries[group]
	return retry, known
}

// Settling says whether there is something to be seen soon: a retry worker has not
// read yet what it is told, or drains a lane.
func (e *Estate) Settling() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lanes.settling
}

// SetRetries says what the retry workers are told, and what they say of each group,
// by group ID; nil while none answers. Lanes in which nothing waits any more are
// drained then.
func (e *Estate) SetRetries(told []config.RetryGroup, retries map[string]Retry) error {
	now := time.Now()
	var done []record.Key
	var changed []record.Ref
	e.mu.Lock()
	for key, entry := range e.entries {
		if entry.Lane == nil {
			continue
		}
		was, had := e.lanes.retries[key.Name]
		is, has := retries[key.Name]
		if had != has || !was.same(is) {
			changed = append(changed, entry.Holder)
		}
		switch since, dry := e.lanes.dry[key]; {
		case !entry.Lane.Draining() || !is.Has(ToldToDrain(key, entry)) || is.Waiting == nil || *is.Waiting > 0:
			delete(e.lanes.dry, key)
		case !dry:
			e.lanes.dry[key] = now
		case now.Sub(since) >= dryFor:
			done = append(done, key)
		}
	}
	e.lanes.retries, e.lanes.settling = retries, false
	for _, group := range told {
		if retry, answers := retries[group.Group]; answers && (!retry.Has(group) || group.Draining != "") {
			e.lanes.settling = true
		}
	}
	e.mu.Unlock()
	e.wakeAll(changed)
	for _, key := range done {
		if err := e.Drain(key, record.Drained); err != nil {
			return err
		}
	}
	return nil
}

// SetWorker says who moves the records of the cluster's lanes: the principal of the
// retry worker, empty where there is none. It gets what it needs to drain those
// that are no longer wanted.
func (e *Estate) SetWorker(principal string) {
	e.mu.Lock()
	e.lanes.worker = principal
	e.mu.Unlock()
	for key, entry := range e.Entries(func(_ record.Key, entry record.Entry) bool { return entry.Lane != nil }) {
		e.grantDrain(key, entry)
	}
}

// Absent says that the resource of a group is not there. Nobody may have asked for
// that, so that its lane is drained only where it stays so.
func (e *Estate) Absent(key record.Key) error {
	e.mu.Lock()
	since, known := e.lanes.absent[key]
	if !known {
		since = time.Now()
		e.lanes.absent[key] = since
	}
	e.mu.Unlock()
	if time.Since(since) < absentFor {
		return nil
	}
	return e.Drain(key, record.ToDeadLetters)
}

// Present says that the resource of a group is there.
func (e *Estate) Present(key record.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.lanes.absent, key)
}

// Drain changes what becomes of what waits in the lane of a group.
func (e *Estate) Drain(key record.Key, to record.Drain) error {
	entry, known := e.Entry(key)
	if !known || entry.Lane == nil || entry.Lane.Drain == to || to == record.Drained && !entry.Lane.Draining() {
		return nil
	}
	entry.Lane = &record.Lane{Waits: entry.Lane.Waits, Drain: to}
	if err := e.Note(key, &entry); err != nil {
		return err
	}
	e.wake(entry.Holder)
	return nil
}

// grantDrain makes the rights of the retry worker on a lane follow what becomes of
// it.
func (e *Estate) grantDrain(key record.Key, entry record.Entry) {
	e.mu.Lock()
	worker := e.lanes.worker
	was, draining := e.lanes.draining[key]
	is := record.Ref{Kind: kindDrain, Namespace: entry.Holder.Namespace, Name: entry.Holder.Name}
	wanted := worker != "" && entry.Lane != nil && entry.Lane.Draining()
	if wanted {
		e.lanes.draining[key] = is
	} else {
		delete(e.lanes.draining, key)
	}
	e.mu.Unlock()
	if draining && (!wanted || was != is) {
		e.writer.Gone(was, grants.Asked)
	}
	if wanted {
		e.writer.Declare(is, Granting(DrainBindings(worker, key.Name, *entry.Lane)), grants.Asked)
	}
}

// DrainBindings are what the retry worker needs to drain the lane of a group.
func DrainBindings(worker, group string, lane record.Lane) []kafka.Binding {
	bindings := kafka.Consume(worker, deadletter.Failed(group))
	for n := 1; n <= lane.Waits; n++ {
		bindings = append(bindings, kafka.Consume(worker, deadletter.Wait(group, n))...)
	}
	if lane.Drain == record.ToRetry {
		bindings = append(bindings, kafka.Publish(worker, deadletter.Retry(group))...)
	}
	return append(bindings, kafka.Publish(worker, deadletter.DLT(group))...)
}
