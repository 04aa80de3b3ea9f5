package kafka

import (
	"fmt"
	"strings"
)

// ReservedPrefix begins the names of Kafka's own topics and groups, and of those
// of the tools around it: __consumer_offsets, __transaction_state.
const ReservedPrefix = "__"

// reserved returns why Weir touches no topic of that name; nil where it may.
func reserved(name string) error {
	if !strings.HasPrefix(name, ReservedPrefix) {
		return nil
	}
	return &Error{
		Class: Rejected, Reason: ReservedName,
		Message: fmt.Sprintf("topic %s is reserved: names that begin with %s are Kafka's own, and Weir touches none of them", name, ReservedPrefix),
	}
}

// internal is reserved for what a broker calls internal.
func internal(topic Topic) error {
	if !topic.Internal {
		return nil
	}
	return &Error{
		Class: Rejected, Reason: ReservedName,
		Message: fmt.Sprintf("topic %s is internal to Kafka, and Weir does not touch it", topic.Name),
	}
}
