package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Weir's headers.
const (
	// What: where the record stood before it failed for the first time, as the
	// service wrote it there. The worker keeps what it finds, and adds the
	// timestamp of the failed record where there is none.
	OriginalTopic     = "weir-original-topic"
	OriginalPartition = "weir-original-partition"
	OriginalOffset    = "weir-original-offset"
	OriginalTimestamp = "weir-original-timestamp"

	// Attempt is the number of this delivery (the first one is 1 and carries
	// no header); in a dead letter, of the last one.
	Attempt = "weir-attempt"
	// FirstFailure is when the worker first saw the record fail.
	FirstFailure = "weir-first-failure"
	// NotBefore is when the record is due.
	NotBefore = "weir-not-before"
	// ErrorClass and ErrorMessage tell the last failure in the service's words.
	ErrorClass   = "weir-error-class"
	ErrorMessage = "weir-error-message"

	// Of dead letters only: the group that failed, why there are no more
	// attempts (a Reason), and since when.
	Group          = "weir-group"
	ReasonHeader   = "weir-reason"
	DeadLetteredAt = "weir-dead-lettered-at"
)

// Header is a record's header. A nil Value is a null value in Kafka.
type Header struct {
	Key   string
	Value []byte
}

// isOwn reports whether Judge writes the header itself. The headers that tell
// where a record came from count as foreign once they are there.
func isOwn(key string) bool {
	switch key {
	case Attempt, FirstFailure, NotBefore, ErrorClass, ErrorMessage, Group, ReasonHeader, DeadLetteredAt:
		return true
	}
	return false
}

// last returns the last header of that key.
func last(headers []Header, key string) (Header, bool) {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key == key {
			return headers[i], true
		}
	}
	return Header{}, false
}

// failure is what the headers of a failed record say.
type failure struct {
	// attempt is the one that failed, from 1.
	attempt int
	// first is the time of the first failure; zero on the first.
	first time.Time
	// class is empty where the service sent none.
	class string
}

// readFailure reads what Judge needs. Its error means that somebody broke the
// chain of headers, so that attempts cannot be counted any more.
func readFailure(headers []Header) (failure, error) {
	f := failure{attempt: 1}
	if class, ok := last(headers, ErrorClass); ok {
		f.class = string(class.Value)
	}
	attempt, hasAttempt := last(headers, Attempt)
	first, hasFirst := last(headers, FirstFailure)
	if hasAttempt != hasFirst {
		return f, errors.New("one of weir-attempt and weir-first-failure is missing")
	}
	if !hasAttempt {
		return f, nil
	}
	n, err := strconv.Atoi(string(attempt.Value))
	if err != nil || n < 1 {
		return f, fmt.Errorf("weir-attempt %q is not a count of attempts", attempt.Value)
	}
	if f.first, err = time.Parse(time.RFC3339, string(first.Value)); err != nil {
		return f, fmt.Errorf("weir-first-failure %q is not a time in RFC 3339", first.Value)
	}
	f.attempt = n
	return f, nil
}

// Due is when a record of a wait topic goes to the retry topic: at its
// weir-not-before, or, where that is missing or unreadable, the topic's delay
// after the record's timestamp.
func Due(headers []Header, timestamp time.Time, delay time.Duration) time.Time {
	if header, ok := last(headers, NotBefore); ok {
		if due, err := time.Parse(time.RFC3339, string(header.Value)); err == nil {
			return due
		}
	}
	return timestamp.Add(delay)
}

func timeHeader(key string, t time.Time) Header {
	return Header{Key: key, Value: t.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00")}
}

func textHeader(key, value string) Header {
	return Header{Key: key, Value: []byte(value)}
}
