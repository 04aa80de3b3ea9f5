package deadletter

import (
	"slices"
	"strconv"
	"time"
)

// Rules are a policy in the form in which failed records are judged.
type Rules struct {
	// Group is the Kafka group ID, for the dead letters.
	Group string
	// Delays are the Schedule of the policy: element i is the wait before
	// attempt i+2. Attempts end with the last of them.
	Delays []time.Duration
	// JitterPercent, MaxElapsed and PermanentErrors are those of the Policy.
	JitterPercent   int
	MaxElapsed      time.Duration
	PermanentErrors []string
	// Drained: the group has no policy any more, and every failure is the last.
	Drained bool
}

// Reason is why a record is a dead letter.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	// MalformedHeaders: weir-attempt or weir-first-failure is unreadable, or
	// one of them is missing, so that attempts cannot be counted.
	MalformedHeaders Reason = "MalformedHeaders"
	// PermanentError: the policy says that this class of error never heals.
	PermanentError Reason = "PermanentError"
	// AttemptsExhausted: that was the last attempt.
	AttemptsExhausted Reason = "AttemptsExhausted"
	// TimeExhausted: the next attempt would be later than maxElapsed allows.
	TimeExhausted Reason = "TimeExhausted"
	// Drained: the group, or its policy, is gone.
	Drained Reason = "Drained"
)

// Decision is what becomes of a failed record.
type Decision struct {
	// Wait is the number of the wait topic, from 1; zero for a dead letter.
	Wait int
	// NotBefore is when the record is due; zero for a dead letter.
	NotBefore time.Time
	// Reason is why the record is a dead letter; empty if it waits.
	Reason Reason
	// Headers are those of the record from now on.
	Headers []Header
}

// Judge decides what becomes of a record that the service could not process.
// Headers and timestamp are those of the record in the failed topic; now is
// the worker's clock; jitter, in [0, 1), is the share of the allowed jitter
// to use. The argument headers is not changed, and its values are shared with
// the decision.
func Judge(rules Rules, headers []Header, timestamp, now time.Time, jitter float64) Decision {
	f, err := readFailure(headers)
	if err != nil {
		// The broken headers stay: they are the evidence.
		return Decision{Reason: MalformedHeaders, Headers: append(slices.Clone(headers), obituary(rules.Group, MalformedHeaders, now)...)}
	}
	if f.first.IsZero() {
		f.first = now
	}
	reason, notBefore := rules.decide(f, now, jitter)
	if reason != "" {
		kept := f.headers(headers, timestamp, f.attempt)
		return Decision{Reason: reason, Headers: append(kept, obituary(rules.Group, reason, now)...)}
	}
	kept := f.headers(headers, timestamp, f.attempt+1)
	return Decision{Wait: f.attempt, NotBefore: notBefore, Headers: append(kept, timeHeader(NotBefore, notBefore))}
}

// Bury makes a dead letter of a record that waits for a delivery which will not
// come. Arguments and result are as in Judge.
func Bury(group string, headers []Header, timestamp, now time.Time) []Header {
	f, err := readFailure(headers)
	if err != nil || f.first.IsZero() {
		return append(slices.Clone(headers), obituary(group, Drained, now)...)
	}
	// The attempt that it carries is the one that does not come.
	return append(f.headers(headers, timestamp, max(f.attempt-1, 1)), obituary(group, Drained, now)...)
}

// decide returns the reason for a dead letter, or else when the record is due.
func (r Rules) decide(f failure, now time.Time, jitter float64) (Reason, time.Time) {
	if slices.ContainsFunc(r.PermanentErrors, func(pattern string) bool { return matches(pattern, f.class) }) {
		return PermanentError, time.Time{}
	}
	if r.Drained {
		return Drained, time.Time{}
	}
	if f.attempt > len(r.Delays) {
		return AttemptsExhausted, time.Time{}
	}
	delay := r.Delays[f.attempt-1]
	notBefore := ceilMillisecond(now.Add(delay))
	var deadline time.Time
	if r.MaxElapsed > 0 {
		deadline = f.first.Add(r.MaxElapsed)
		if notBefore.After(deadline) {
			return TimeExhausted, time.Time{}
		}
	}
	jittered := ceilMillisecond(now.Add(delay + time.Duration(jitter*float64(delay)*float64(r.JitterPercent)/100)))
	if !deadline.IsZero() && jittered.After(deadline) {
		return "", notBefore // no room for jitter before maxElapsed
	}
	return "", jittered
}

// ceilMillisecond rounds up, so that the text of a header is never earlier
// than what was decided.
func ceilMillisecond(t time.Time) time.Time {
	return t.Add(time.Millisecond - 1).Truncate(time.Millisecond).UTC()
}

// headers are the record's headers with the foreign ones first, in order, and
// the counters and the last failure after them.
func (f failure) headers(all []Header, timestamp time.Time, attempt int) []Header {
	const most = 9 // that this function and its caller append
	kept := make([]Header, 0, len(all)+most)
	for _, header := range all {
		if !isOwn(header.Key) {
			kept = append(kept, header)
		}
	}
	if _, ok := last(all, OriginalTimestamp); !ok {
		kept = append(kept, timeHeader(OriginalTimestamp, timestamp))
	}
	kept = append(kept, textHeader(Attempt, strconv.Itoa(attempt)), timeHeader(FirstFailure, f.first))
	for _, key := range []string{ErrorClass, ErrorMessage} {
		if header, ok := last(all, key); ok {
			kept = append(kept, header)
		}
	}
	return kept
}

// obituary is what a dead letter says beyond its last failure.
func obituary(group string, reason Reason, now time.Time) []Header {
	return []Header{
		textHeader(Group, group),
		textHeader(ReasonHeader, string(reason)),
		timeHeader(DeadLetteredAt, now),
	}
}
