package deadletter

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	billed = Rules{
		Group:           "billing",
		Delays:          []time.Duration{time.Second, 10 * time.Second},
		JitterPercent:   20,
		MaxElapsed:      time.Minute,
		PermanentErrors: []string{"DeserializationError", "*SchemaException"},
	}
)

// h is a list of headers: key, value, key, value, …
func h(texts ...string) []Header {
	headers := []Header{}
	for pair := range slices.Chunk(texts, 2) {
		headers = append(headers, Header{Key: pair[0], Value: []byte(pair[1])})
	}
	return headers
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   Rules
		headers []Header
		now     time.Time
		jitter  float64
		want    Decision
	}{
		{
			name:    "first failure, with what the service tells",
			rules:   billed,
			headers: h("traceparent", "00-1", OriginalTopic, "orders", OriginalPartition, "2", OriginalOffset, "17", OriginalTimestamp, "2026-03-01T11:00:00.000Z", ErrorClass, "Timeout", ErrorMessage, "no answer"),
			now:     noon,
			want: Decision{Wait: 1, NotBefore: noon.Add(time.Second), Headers: h(
				"traceparent", "00-1", OriginalTopic, "orders", OriginalPartition, "2", OriginalOffset, "17", OriginalTimestamp, "2026-03-01T11:00:00.000Z",
				Attempt, "2", FirstFailure, "2026-03-01T12:00:00.000Z", ErrorClass, "Timeout", ErrorMessage, "no answer", NotBefore, "2026-03-01T12:00:01.000Z")},
		},
		{
			name:    "a group without a policy: the first failure is the last",
			rules:   Rules{Group: "billing", Drained: true},
			headers: h(OriginalTimestamp, "2026-03-01T11:00:00.000Z", ErrorClass, "Timeout"),
			now:     noon,
			want: Decision{Reason: Drained, Headers: h(
				OriginalTimestamp, "2026-03-01T11:00:00.000Z", Attempt, "1", FirstFailure, "2026-03-01T12:00:00.000Z", ErrorClass, "Timeout",
				Group, "billing", ReasonHeader, "Drained", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:  "first failure of a service that tells nothing",
			rules: billed,
			now:   noon,
			want: Decision{Wait: 1, NotBefore: noon.Add(time.Second), Headers: h(
				OriginalTimestamp, "2026-03-01T11:59:59.000Z", Attempt, "2", FirstFailure, "2026-03-01T12:00:00.000Z", NotBefore, "2026-03-01T12:00:01.000Z")},
		},
		{
			name:  "second failure: the service copied the headers and appended the new error",
			rules: billed,
			headers: h("a", "1", OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T11:59:50.000Z", ErrorClass, "Timeout", ErrorMessage, "old",
				NotBefore, "2026-03-01T11:59:51.000Z", "b", "2", "a", "3", ErrorClass, "Refused", ErrorMessage, "new"),
			now: noon,
			want: Decision{Wait: 2, NotBefore: noon.Add(10 * time.Second), Headers: h(
				"a", "1", OriginalTimestamp, "t", "b", "2", "a", "3",
				Attempt, "3", FirstFailure, "2026-03-01T11:59:50.000Z", ErrorClass, "Refused", ErrorMessage, "new", NotBefore, "2026-03-01T12:00:10.000Z")},
		},
		{
			name:    "the due time is rounded up to the header's milliseconds",
			rules:   billed,
			headers: h(OriginalTimestamp, "t"),
			now:     noon.Add(time.Nanosecond),
			want: Decision{Wait: 1, NotBefore: noon.Add(1001 * time.Millisecond), Headers: h(
				OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T12:00:00.000Z", NotBefore, "2026-03-01T12:00:01.001Z")},
		},
		{
			name:    "jitter moves the due time later",
			rules:   billed,
			headers: h(OriginalTimestamp, "t"),
			now:     noon,
			jitter:  0.5,
			want: Decision{Wait: 1, NotBefore: noon.Add(1100 * time.Millisecond), Headers: h(
				OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T12:00:00.000Z", NotBefore, "2026-03-01T12:00:01.100Z")},
		},
		{
			name:    "but not past maxElapsed",
			rules:   billed,
			headers: h(OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T11:59:10.000Z"),
			now:     noon,
			jitter:  0.5,
			want: Decision{Wait: 2, NotBefore: noon.Add(10 * time.Second), Headers: h(
				OriginalTimestamp, "t", Attempt, "3", FirstFailure, "2026-03-01T11:59:10.000Z", NotBefore, "2026-03-01T12:00:10.000Z")},
		},
		{
			name:    "attempts exhausted",
			rules:   billed,
			headers: h(OriginalTimestamp, "t", Attempt, "3", FirstFailure, "2026-03-01T11:59:50.000Z", NotBefore, "x", ErrorClass, "Timeout"),
			now:     noon,
			want: Decision{Reason: AttemptsExhausted, Headers: h(
				OriginalTimestamp, "t", Attempt, "3", FirstFailure, "2026-03-01T11:59:50.000Z", ErrorClass, "Timeout",
				Group, "billing", ReasonHeader, "AttemptsExhausted", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "a schedule that became shorter",
			rules:   billed,
			headers: h(OriginalTimestamp, "t", Attempt, "9", FirstFailure, "2026-03-01T11:59:50.000Z"),
			now:     noon,
			want: Decision{Reason: AttemptsExhausted, Headers: h(
				OriginalTimestamp, "t", Attempt, "9", FirstFailure, "2026-03-01T11:59:50.000Z",
				Group, "billing", ReasonHeader, "AttemptsExhausted", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "no retry at all",
			rules:   Rules{Group: "billing"},
			headers: h(OriginalTimestamp, "t"),
			now:     noon,
			want: Decision{Reason: AttemptsExhausted, Headers: h(
				OriginalTimestamp, "t", Attempt, "1", FirstFailure, "2026-03-01T12:00:00.000Z",
				Group, "billing", ReasonHeader, "AttemptsExhausted", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "time exhausted: the next attempt would be too late",
			rules:   billed,
			headers: h(OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T11:59:09.999Z"),
			now:     noon,
			want: Decision{Reason: TimeExhausted, Headers: h(
				OriginalTimestamp, "t", Attempt, "2", FirstFailure, "2026-03-01T11:59:09.999Z",
				Group, "billing", ReasonHeader, "TimeExhausted", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "permanent error",
			rules:   billed,
			headers: h(OriginalTimestamp, "t", ErrorClass, "Timeout", ErrorClass, "org.avro.SchemaException"),
			now:     noon,
			want: Decision{Reason: PermanentError, Headers: h(
				OriginalTimestamp, "t", Attempt, "1", FirstFailure, "2026-03-01T12:00:00.000Z", ErrorClass, "org.avro.SchemaException",
				Group, "billing", ReasonHeader, "PermanentError", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "an attempt that is no number keeps every header",
			rules:   billed,
			headers: h(Attempt, "two", FirstFailure, "2026-03-01T11:59:50.000Z", NotBefore, "x"),
			now:     noon,
			want: Decision{Reason: MalformedHeaders, Headers: h(
				Attempt, "two", FirstFailure, "2026-03-01T11:59:50.000Z", NotBefore, "x",
				Group, "billing", ReasonHeader, "MalformedHeaders", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
		{
			name:    "a lost counter is not a first failure, or retries would never end",
			rules:   billed,
			headers: h(FirstFailure, "2026-03-01T11:59:50.000Z"),
			now:     noon,
			want: Decision{Reason: MalformedHeaders, Headers: h(
				FirstFailure, "2026-03-01T11:59:50.000Z",
				Group, "billing", ReasonHeader, "MalformedHeaders", DeadLetteredAt, "2026-03-01T12:00:00.000Z")},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(test.rules, test.headers, noon.Add(-time.Second), test.now, test.jitter)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers []Header
		want    time.Time
	}{
		{"as the header says", h(NotBefore, "2026-03-01T12:00:07.500Z"), noon.Add(7500 * time.Millisecond)},
		{"the last header counts", h(NotBefore, "2026-03-01T12:00:07.500Z", NotBefore, "2026-03-01T12:00:08.000Z"), noon.Add(8 * time.Second)},
		{"missing", h("a", "b"), noon.Add(5 * time.Second)},
		{"unreadable", h(NotBefore, "soon"), noon.Add(5 * time.Second)},
		{"null", []Header{{Key: NotBefore}}, noon.Add(5 * time.Second)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Due(test.headers, noon, 5*time.Second); !got.Equal(test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Whatever stands in the headers: foreign ones survive in order, a wait is
// never shorter than its delay nor past maxElapsed, what Judge writes it can
// read again, and a record that fails for ever ends as a dead letter.
func FuzzJudge(f *testing.F) {
	f.Add("k", "v", "2", "2026-03-01T11:59:50.000Z", "Timeout", 0.3)
	f.Add(Attempt, "1", "", "", "x.SchemaException", 0.999)
	f.Add("traceparent", "\xff", "-1", "never", "", 0.0)
	f.Add(OriginalTimestamp, "", "99999999999999999999", "0000-01-01T00:00:00Z", "", 0.5)
	f.Fuzz(func(t *testing.T, key, value, attempt, first, class string, jitter float64) {
		if !(jitter >= 0 && jitter < 1) {
			jitter = 0.5
		}
		headers := h("before", "x", key, value, Attempt, attempt, FirstFailure, first, "after", "y", ErrorClass, class)
		now := noon
		for round := 0; ; round++ {
			decision := Judge(billed, headers, noon, now, jitter)
			if diff := cmp.Diff(foreign(headers), foreign(decision.Headers)[:len(foreign(headers))]); diff != "" {
				t.Fatalf("foreign headers changed:\n%s", diff)
			}
			if decision.Reason != "" {
				if decision.Wait != 0 || !decision.NotBefore.IsZero() {
					t.Fatalf("a dead letter that waits: %+v", decision)
				}
				if got, _ := last(decision.Headers, ReasonHeader); string(got.Value) != string(decision.Reason) {
					t.Fatalf("%s has the header %q", decision.Reason, got.Value)
				}
				return
			}
			if round > len(billed.Delays) {
				t.Fatal("the record never becomes a dead letter")
			}
			delay := billed.Delays[decision.Wait-1]
			if wait := decision.NotBefore.Sub(now); wait < delay || wait > delay*6/5+time.Millisecond {
				t.Fatalf("wait %d takes %s, its delay is %s", decision.Wait, wait, delay)
			}
			if due := Due(decision.Headers, noon, 0); !due.Equal(decision.NotBefore) {
				t.Fatalf("due %s, decided %s", due, decision.NotBefore)
			}
			if got, _ := last(decision.Headers, Attempt); string(got.Value) != strconv.Itoa(decision.Wait+1) {
				t.Fatalf("wait %d announces attempt %q", decision.Wait, got.Value)
			}
			headers, now = decision.Headers, decision.NotBefore
		}
	})
}

func foreign(headers []Header) []Header {
	kept := []Header{}
	for _, header := range headers {
		if !isOwn(header.Key) {
			kept = append(kept, header)
		}
	}
	return kept
}

func TestJudgeDoesNotTouchItsArgument(t *testing.T) {
	t.Parallel()
	headers := append(make([]Header, 0, 32), h("a", "1", Attempt, "x", FirstFailure, "y")...)
	spare := headers[:cap(headers)]
	Judge(billed, headers, noon, noon, 0)
	for _, header := range spare[len(headers):] {
		if header.Key != "" || header.Value != nil {
			t.Errorf("the argument's array was written to: %q", header.Key)
		}
	}
}

func TestBury(t *testing.T) {
	t.Parallel()
	end := []string{Group, "billing", ReasonHeader, "Drained", DeadLetteredAt, "2026-03-01T12:00:00.000Z"}
	for name, test := range map[string]struct{ headers, want []Header }{
		"the attempt that does not come is not counted": {
			h("traceparent", "00-1", OriginalTimestamp, "2026-03-01T11:00:00.000Z", Attempt, "3", FirstFailure, "2026-03-01T11:59:00.000Z",
				ErrorClass, "Timeout", NotBefore, "2026-03-01T12:00:00.000Z"),
			h(append([]string{"traceparent", "00-1", OriginalTimestamp, "2026-03-01T11:00:00.000Z", Attempt, "2",
				FirstFailure, "2026-03-01T11:59:00.000Z", ErrorClass, "Timeout"}, end...)...),
		},
		"broken headers stay": {h(Attempt, "many", FirstFailure, "once"), h(append([]string{Attempt, "many", FirstFailure, "once"}, end...)...)},
		"none":                {nil, h(end...)},
	} {
		if diff := cmp.Diff(test.want, Bury("billing", test.headers, noon, noon)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
