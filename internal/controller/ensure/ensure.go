// Package ensure says in words what became of making a topic follow its spec:
// what was changed, and what cannot be had. internal/kafka makes it follow.
package ensure

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// Halt returns the halt that says what of a topic's spec cannot be had:
// what was refused, and what is contested: taken back by somebody else again and
// again, or accepted and not shown for longer than patience.
func Halt(name string, ensured kafka.Ensured, err error, patience time.Duration) error {
	return halt.Together(halt.Kafka(err), Contested(name, ensured, patience))
}

// Contested is the part of Halt that is about a contest.
func Contested(name string, ensured kafka.Ensured, patience time.Duration) error {
	var errs []error
	for _, change := range ensured.Contested {
		errs = append(errs, halt.Stall(v1alpha1.ReasonContested,
			"somebody else changes topic %s again and again: %s is put right each time it is found; settle who decides it", name, what(change)))
	}
	for _, unshown := range ensured.Unshown {
		if time.Since(unshown.Since) > patience {
			errs = append(errs, halt.Stall(v1alpha1.ReasonContested,
				"Kafka accepted %s for topic %s and does not show it; remove it from the spec if the brokers do not know it", what(unshown.Change), name))
		}
	}
	return halt.Together(errs...)
}

// what names what a change is about, as asked and as found.
func what(change kafka.Change) string {
	switch change.Kind {
	case kafka.SetConfig, kafka.ResetConfig:
		asked, shown := change.Value, "its default"
		if change.Kind == kafka.ResetConfig {
			asked = "its default"
		}
		if change.Overridden {
			shown = change.Old
		}
		return fmt.Sprintf("config %s (asked: %s, shown: %s)", change.Key, asked, shown)
	case kafka.GrowTopic:
		return fmt.Sprintf("the number of partitions (asked: %d, shown: %d)", change.Partitions, change.OldPartitions)
	default:
		return "its creation"
	}
}

// Words says what was changed of a topic, for an event.
func Words(changes []kafka.Change) string {
	var words []string
	for _, change := range changes {
		word := change.String()
		if change.Kind == kafka.GrowTopic {
			word += " (keys move to other partitions, so that their order holds from now on only)"
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}
