package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
)

const (
	// checkInterval is how often the worker asks whether it could work, also
	// while nothing fails: the client hides outages from an idle consumer.
	checkInterval = 2 * time.Second
	checkTimeout  = 5 * time.Second
	// topicGrace is how long a topic may be missing without being a problem:
	// brokers learn of a topic some time after it was made.
	topicGrace = 10 * time.Second
)

// checker finds out what keeps the worker from its topics.
type checker struct {
	client *kgo.Client
	sink   sink
	// missing is since when a topic is not there.
	missing map[string]time.Time
	// ids are the topics' as they were first seen.
	ids map[string][16]byte
	// renewed is told that a topic was deleted and made again.
	renewed func(error)
}

// watch reports until ctx ends what it finds, and counts what waits in groups
// that are drained.
func (c *checker) watch(ctx context.Context, w *worker) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		f := w.current()
		groups := f.effective()
		problem, byGroup := c.check(ctx, groups)
		waiting := c.countWaiting(ctx, f.ConsumerGroup, groups)
		if ctx.Err() != nil {
			return
		}
		if w.problems.report(partCluster, problem) && problem != nil {
			w.log.Warn("cannot move records", "reason", problem.Reason, "message", problem.Message)
		}
		for _, g := range groups {
			problem := byGroup[g.Group]
			if w.groups.of(g.Group).report(partTopics, problem) && problem != nil {
				w.log.Warn("cannot move records of a group", "group", g.Group, "reason", problem.Reason, "message", problem.Message)
			}
		}
		w.waiting.Store(&waiting)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// check returns what keeps the worker from everything, or what keeps it from
// topics of a group, by group ID.
func (c *checker) check(ctx context.Context, groups []config.RetryGroup) (*relay.Problem, map[string]*relay.Problem) {
	if problem, _ := c.sink.Check(ctx, nil); problem != nil {
		return problem, nil
	}
	return c.checkTopics(ctx, needs(groups))
}

func (c *checker) checkTopics(ctx context.Context, needs []need) (*relay.Problem, map[string]*relay.Problem) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true
	request.Topics = make([]kmsg.MetadataRequestTopic, 0, len(needs)) // empty, not nil, which would mean all
	for _, n := range needs {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(n.topic)
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return c.sink.Explain(err), nil
	}
	byName := make(map[string]kmsg.MetadataResponseTopic, len(response.Topics))
	for _, topic := range response.Topics {
		if topic.Topic != nil {
			byName[*topic.Topic] = topic
		}
	}
	c.compare(byName)
	return nil, c.judge(needs, byName, time.Now())
}

// compare finds topics that were deleted and made again: the client goes on
// asking for the one that it knows, and offsets of the one mean nothing in the other.
func (c *checker) compare(topics map[string]kmsg.MetadataResponseTopic) {
	for name, topic := range topics {
		if topic.TopicID == [16]byte{} {
			continue // missing, hidden, or brokers without IDs
		}
		known, seen := c.ids[name]
		if seen && known != topic.TopicID {
			c.renewed(&relay.Problem{Reason: topicRenewed, Message: fmt.Sprintf("topic %q was deleted and made again", name)})
		}
		c.ids[name] = topic.TopicID
	}
}

// topicRenewed is the reason for which a session begins again.
const topicRenewed = "TopicRenewed"

// judge returns the first problem of each group in the order of needs, by group ID.
func (c *checker) judge(needs []need, topics map[string]kmsg.MetadataResponseTopic, now time.Time) map[string]*relay.Problem {
	first := map[string]*relay.Problem{}
	missing := map[string]time.Time{}
	for _, n := range needs {
		topic := topics[n.topic]
		err := kerr.ErrorForCode(topic.ErrorCode)
		var problem *relay.Problem
		switch {
		case topic.Topic == nil, errors.Is(err, kerr.UnknownTopicOrPartition):
			since, known := c.missing[n.topic]
			if !known {
				since = now
			}
			missing[n.topic] = since
			if now.Sub(since) >= topicGrace {
				problem = topicNotFound(n.topic)
			}
		case errors.Is(err, kerr.TopicAuthorizationFailed), err == nil && !n.met(topic.AuthorizedOperations):
			problem = topicUnauthorized(c.sink.principal(), n.operations(), n.topic)
		case err != nil:
			problem = c.sink.Explain(err)
		}
		if first[n.group] == nil && problem != nil {
			first[n.group] = problem
		}
	}
	c.missing = missing
	return first
}

// met reads the bit field of KIP-430. Brokers that do not fill it in leave
// the sentinel: then fetching and producing will tell.
func (n need) met(operations int32) bool {
	const unknown = -1 << 31
	may := func(operation kmsg.ACLOperation) bool { return operations&(1<<operation) != 0 }
	return operations == unknown ||
		(!n.read || may(kmsg.ACLOperationRead)) && (!n.write || may(kmsg.ACLOperationWrite))
}

// operations are the needs as ACLs call them.
func (n need) operations() string {
	switch {
	case n.read && n.write:
		return "READ, WRITE"
	case n.read:
		return "READ"
	default:
		return "WRITE"
	}
}
