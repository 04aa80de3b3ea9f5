package deadletter

import (
	"fmt"
	"strconv"
	"time"
)

// Retention is how long the failed, retry and wait topics keep a record at
// least: a schedule must fit into it, and an outage of the worker or of the
// service too.
const Retention = 7 * 24 * time.Hour

// maxTopicName is the longest name that Kafka accepts for a topic, in bytes.
const maxTopicName = 249

// Failed is the topic to which a service produces the records that it could
// not process.
func Failed(group string) string { return group + ".failed" }

// Retry is the topic from which a service reads the records that are due again.
func Retry(group string) string { return group + ".retry" }

// Wait is the topic in which records wait for attempt n+1; n counts from 1.
func Wait(group string, n int) string { return group + ".wait." + strconv.Itoa(n) }

// DLT is the dead letter topic.
func DLT(group string) string { return group + ".dlt" }

// Topics returns the names of all topics of a group: failed, retry, wait.1 to
// wait.<waits>, dlt. The error says why Kafka would refuse one of them: a
// consumer group may have a name that a topic may not.
func Topics(group string, waits int) ([]string, error) {
	topics := make([]string, 0, waits+3)
	topics = append(topics, Failed(group), Retry(group))
	for n := 1; n <= waits; n++ {
		topics = append(topics, Wait(group, n))
	}
	topics = append(topics, DLT(group))

	if group == "" {
		return nil, fmt.Errorf("the group's name is empty, so its topics cannot be named")
	}
	for _, c := range []byte(group) {
		if !isTopicChar(c) {
			return nil, fmt.Errorf("group %q cannot have a dead letter lane: its topics are named after it, "+
				"and a topic's name may hold letters, digits, '.', '_' and '-' only", group)
		}
	}
	for _, topic := range topics {
		if len(topic) > maxTopicName {
			return nil, fmt.Errorf("group %q cannot have a dead letter lane: the name of its topic %s has %d characters, Kafka allows %d",
				group, topic, len(topic), maxTopicName)
		}
	}
	return topics, nil
}

func isTopicChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
