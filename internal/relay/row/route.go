package row

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir-dev/weir/internal/relay/config"
)

const (
	placeholder = "${aggregatetype}"
	// maxTopicName and topicChars are Kafka's rules for a topic's name.
	maxTopicName = 249
	topicChars   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	// maxRouted bounds the memory for aggregate types that were routed before.
	maxRouted = 1024
)

// router finds the topic of an aggregate type: the first route that matches.
type router struct {
	routes []config.Route
	routed map[string]string // topic by aggregate type
}

func newRouter(routes []config.Route) router {
	return router{routes: routes, routed: map[string]string{}}
}

func (r router) topic(aggregateType []byte) (string, error) {
	if topic, ok := r.routed[string(aggregateType)]; ok {
		return topic, nil
	}
	for _, route := range r.routes {
		if route.AggregateType != "" && route.AggregateType != string(aggregateType) {
			continue
		}
		topic := strings.ReplaceAll(route.Topic, placeholder, string(aggregateType))
		if err := checkTopic(topic); err != nil {
			return "", fmt.Errorf("aggregate type %q is routed to topic %q, which %w", aggregateType, topic, err)
		}
		if len(r.routed) < maxRouted {
			r.routed[string(aggregateType)] = topic
		}
		return topic, nil
	}
	return "", fmt.Errorf("no route matches aggregate type %q: add one to spec.routes", aggregateType)
}

func checkTopic(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return errors.New("is no name that Kafka accepts")
	case len(name) > maxTopicName:
		return fmt.Errorf("is longer than %d characters", maxTopicName)
	case strings.ContainsFunc(name, isNoTopicChar):
		return errors.New("holds characters other than a-z, A-Z, 0-9, '.', '_' and '-'")
	default:
		return nil
	}
}

func isNoTopicChar(r rune) bool { return !strings.ContainsRune(topicChars, r) }

// Topics returns the topics that routes name literally, each once and in
// order. Those of a template are known only when a row comes.
func Topics(routes []config.Route) []string {
	var topics []string
	seen := map[string]bool{}
	for _, route := range routes {
		if !strings.Contains(route.Topic, placeholder) && !seen[route.Topic] {
			seen[route.Topic] = true
			topics = append(topics, route.Topic)
		}
	}
	return topics
}
