package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminTimeout is how long a broker may take to carry out a change before it
// answers REQUEST_TIMED_OUT. The change may still happen then, and the next
// pass finds it done.
const adminTimeout = 15 * time.Second

// ApplyTopic carries out the changes of a plan. It is idempotent: what is done
// already counts as success, so a topic that somebody else created in the
// meantime is left as it is and the next plan tells how it differs.
//
// A change that fails does not keep the others from being applied. If Kafka
// refuses one of several config keys, the other keys are still set; a creation
// is all or nothing. Concurrent calls share their requests, and an error for
// one topic is that topic's alone. Changes to a topic that was created a moment
// ago may fail with a transient TopicNotFound.
func (c *Cluster) ApplyTopic(ctx context.Context, name string, changes []Change) error {
	var (
		errs   []error
		config []Change
	)
	for _, change := range changes {
		one := topicChanges{name, []Change{change}}
		switch change.Kind {
		case CreateTopic:
			_, err := c.creates.do(ctx, one)
			errs = append(errs, action{
				doing: "create topic " + name,
				needs: fmt.Sprintf("CREATE on Topic %s or on the Cluster", name),
			}.failed(err))
		case GrowTopic:
			errs = append(errs, c.grow(ctx, one))
		case SetConfig, ResetConfig:
			config = append(config, change)
		default:
			errs = append(errs, fmt.Errorf("topic %s: %v", name, change))
		}
	}
	if len(config) > 0 {
		_, err := c.alters.do(ctx, topicChanges{name, config})
		errs = append(errs, action{
			doing: "change the config of topic " + name,
			needs: "ALTER_CONFIGS on Topic " + name,
		}.failed(err))
	}
	return together(errs)
}

// grow raises the number of partitions. Kafka answers INVALID_PARTITIONS when
// the topic has that many already; some brokers answer it for a limit, too, so
// the topic itself tells which.
func (c *Cluster) grow(ctx context.Context, one topicChanges) error {
	want := one.changes[0].Partitions
	_, err := c.grows.do(ctx, one)
	if errors.Is(err, kerr.InvalidPartitions) {
		if topic, observeErr := c.ObserveTopic(ctx, one.name); observeErr == nil && topic.Partitions >= want {
			return nil
		}
	}
	return action{
		doing: fmt.Sprintf("raise topic %s to %d partitions", one.name, want),
		needs: "ALTER on Topic " + one.name,
	}.failed(err)
}

// DeleteTopic deletes a topic and its records. A topic that does not exist is
// success. Concurrent calls share their requests.
func (c *Cluster) DeleteTopic(ctx context.Context, name string) error {
	_, err := c.deletes.do(ctx, topicChanges{name: name})
	return action{doing: "delete topic " + name, needs: "DELETE on Topic " + name}.failed(err)
}

// topicChanges are changes of one kind to one topic.
type topicChanges struct {
	name    string
	changes []Change
}

// done is the value of an outcome that has none.
type done = struct{}

// answer takes what became of one topic of a request.
type answer func(name string, err error)

// perTopic calls send with at most requestItems topics at a time, each topic
// once, since Kafka refuses a request that names a topic twice. An error of
// send is that of all its topics.
func perTopic(all []topicChanges, send func([]topicChanges, answer) error) []outcome[done] {
	outcomes := make([]outcome[done], len(all))
	rest := make([]int, len(all))
	for i := range rest {
		rest[i] = i
		outcomes[i].err = errNoAnswer
	}
	for len(rest) > 0 {
		var (
			items []topicChanges
			later []int
			index = map[string]int{}
		)
		for _, i := range rest {
			if _, twice := index[all[i].name]; twice || len(items) == requestItems {
				later = append(later, i)
				continue
			}
			index[all[i].name] = i
			items = append(items, all[i])
		}
		err := send(items, func(name string, err error) {
			if i, asked := index[name]; asked {
				outcomes[i].err = err
			}
		})
		if err != nil {
			for _, i := range index {
				outcomes[i].err = err
			}
		}
		rest = later
	}
	return outcomes
}

func (c *Cluster) createTopics(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer) error {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.TimeoutMillis = int32(adminTimeout.Milliseconds())
		for _, item := range items {
			change := item.changes[0]
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic = item.name
			topic.NumPartitions = orBrokersDefault(change.Partitions)
			topic.ReplicationFactor = orBrokersDefault(change.Replicas)
			for key, value := range change.Config {
				entry := kmsg.NewCreateTopicsRequestTopicConfig()
				entry.Name, entry.Value = key, &value
				topic.Configs = append(topic.Configs, entry)
			}
			request.Topics = append(request.Topics, topic)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			if topic.ErrorCode == kerr.TopicAlreadyExists.Code {
				topic.ErrorCode = 0
			}
			answer(topic.Topic, codeError(topic.ErrorCode, topic.ErrorMessage))
		}
		return nil
	})
}

// orBrokersDefault returns what CreateTopics understands as the broker's
// default (KIP-464) where n is 0.
func orBrokersDefault[N int16 | int32](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

func (c *Cluster) growTopics(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer) error {
		request := kmsg.NewPtrCreatePartitionsRequest()
		request.TimeoutMillis = int32(adminTimeout.Milliseconds())
		for _, item := range items {
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic = item.name
			topic.Count = item.changes[0].Partitions
			request.Topics = append(request.Topics, topic)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			answer(topic.Topic, codeError(topic.ErrorCode, topic.ErrorMessage))
		}
		return nil
	})
}

// alterTopics changes config. Kafka takes or refuses a topic's keys together;
// where it refuses several, each is sent by itself, so that one bad value does
// not hold back the others.
func (c *Cluster) alterTopics(ctx context.Context, all []topicChanges) []outcome[done] {
	outcomes := c.alterTogether(ctx, all)
	refused := map[int][]error{}
	for i, out := range outcomes {
		if len(all[i].changes) > 1 && isValueRefused(out.err) {
			refused[i] = nil
		}
	}
	for key := 0; ; key++ {
		var (
			indices []int
			single  []topicChanges
		)
		for i := range refused {
			if key < len(all[i].changes) {
				indices = append(indices, i)
				single = append(single, topicChanges{all[i].name, all[i].changes[key : key+1]})
			}
		}
		if len(single) == 0 {
			break
		}
		for n, out := range c.alterTogether(ctx, single) {
			refused[indices[n]] = append(refused[indices[n]], out.err)
		}
	}
	for i, errs := range refused {
		outcomes[i].err = together(errs)
	}
	return outcomes
}

func isValueRefused(err error) bool {
	switch is := Classify(err); {
	case is == nil || is.Class != Rejected:
		return false
	default:
		return is.Reason == InvalidConfig || is.Reason == PolicyViolation || is.Reason == InvalidRequest
	}
}

func (c *Cluster) alterTogether(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer) error {
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		for _, item := range items {
			resource := kmsg.NewIncrementalAlterConfigsRequestResource()
			resource.ResourceType = kmsg.ConfigResourceTypeTopic
			resource.ResourceName = item.name
			for _, change := range item.changes {
				entry := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
				entry.Name = change.Key
				entry.Op = kmsg.IncrementalAlterConfigOpDelete
				if change.Kind == SetConfig {
					entry.Op = kmsg.IncrementalAlterConfigOpSet
					entry.Value = &change.Value
				}
				resource.Configs = append(resource.Configs, entry)
			}
			request.Resources = append(request.Resources, resource)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, resource := range response.Resources {
			answer(resource.ResourceName, codeError(resource.ErrorCode, resource.ErrorMessage))
		}
		return nil
	})
}

func (c *Cluster) deleteTopics(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer) error {
		request := kmsg.NewPtrDeleteTopicsRequest()
		request.TimeoutMillis = int32(adminTimeout.Milliseconds())
		for _, item := range items {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.Topic = kmsg.StringPtr(item.name)
			request.Topics = append(request.Topics, topic)
			request.TopicNames = append(request.TopicNames, item.name) // before v6
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			if topic.Topic == nil {
				continue
			}
			if topic.ErrorCode == kerr.UnknownTopicOrPartition.Code {
				topic.ErrorCode = 0
			}
			answer(*topic.Topic, codeError(topic.ErrorCode, topic.ErrorMessage))
		}
		return nil
	})
}
