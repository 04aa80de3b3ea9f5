package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminTimeout is how long a broker may take to carry out a change before it
// answers REQUEST_TIMED_OUT. The change may still happen then, and the next
// pass finds it done.
const adminTimeout = 10 * time.Second

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
	var errs []error
	for _, applied := range c.apply(ctx, name, changes) {
		if !errors.Is(applied.err, errExists) {
			errs = append(errs, applied.err)
		}
	}
	return together(errs)
}

// applied is what became of one change.
type applied struct {
	Change
	// created is the topic that a creation made.
	created Topic
	// err is a *Error; it wraps errExists where a creation found the topic.
	err error
}

// errExists says that a topic was to be created and is there.
var errExists = errors.New("the topic exists already")

// apply carries out changes and says what became of each, in their order.
func (c *Cluster) apply(ctx context.Context, name string, changes []Change) []applied {
	if err := reserved(name); err != nil && len(changes) > 0 {
		return []applied{{Change: changes[0], err: err}}
	}
	all := make([]applied, len(changes))
	var keys []int
	for i, change := range changes {
		all[i].Change = change
		one := topicChanges{name: name, changes: changes[i : i+1]}
		switch change.Kind {
		case CreateTopic:
			created, err := c.creates.do(ctx, one)
			all[i].created, all[i].err = created, action{c, "create topic " + name, on(ResourceTopic, name, "CREATE")}.failed(err)
		case GrowTopic:
			all[i].err = c.grow(ctx, one)
		case SetConfig, ResetConfig:
			keys = append(keys, i)
		default:
			all[i].err = fmt.Errorf("topic %s: %v", name, change)
		}
	}
	if len(keys) == 0 {
		return all
	}
	config := topicChanges{name: name}
	for _, i := range keys {
		config.changes = append(config.changes, changes[i])
	}
	errs, err := c.alters.do(ctx, config)
	for n, i := range keys {
		if err == nil {
			all[i].err = errs[n]
		} else {
			all[i].err = err
		}
		all[i].err = action{c, "change the config of topic " + name, on(ResourceTopic, name, "ALTER_CONFIGS")}.failed(all[i].err)
	}
	return all
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
		c, fmt.Sprintf("raise topic %s to %d partitions", one.name, want), on(ResourceTopic, one.name, "ALTER"),
	}.failed(err)
}

// DeleteTopic deletes the topic that has this ID and its records: another one
// that has come to the name since stays. Without an ID, any topic of the name is
// meant. A topic that does not exist is success. Concurrent calls share their
// requests.
func (c *Cluster) DeleteTopic(ctx context.Context, name, id string) error {
	if err := reserved(name); err != nil {
		return err
	}
	c.acknowledged.forget(name)
	_, err := c.deletes.do(ctx, topicChanges{name: name, id: id})
	return action{c, "delete topic " + name, on(ResourceTopic, name, "DELETE")}.failed(err)
}

func (c *Cluster) createTopics(ctx context.Context, all []topicChanges) []outcome[Topic] {
	return perTopic(all, func(items []topicChanges, answer answer[Topic]) error {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.TimeoutMillis = int32(adminTimeout.Milliseconds())
		asked := make(map[string]Change, len(items))
		for _, item := range items {
			change := item.changes[0]
			asked[item.name] = change
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
			err := codeError(topic.ErrorCode, topic.ErrorMessage)
			if topic.ErrorCode == kerr.TopicAlreadyExists.Code {
				err = errExists
			}
			answer(topic.Topic, createdTopic(topic, asked[topic.Topic]), err)
		}
		return nil
	})
}

// createdTopic is a topic as the answer to its creation describes it. What the
// answer leaves out (brokers before 2.4, or a principal without
// DESCRIBE_CONFIGS) is as it was asked for.
func createdTopic(from kmsg.CreateTopicsResponseTopic, asked Change) Topic {
	topic := Topic{
		Name: from.Topic, ID: topicID(from.TopicID), Exists: true,
		Partitions: max(from.NumPartitions, asked.Partitions), Replicas: max(from.ReplicationFactor, asked.Replicas),
		Config: map[string]string{},
	}
	maps.Copy(topic.Config, asked.Config)
	for _, entry := range from.Configs {
		if _, ours := asked.Config[entry.Name]; ours && entry.Value != nil {
			topic.Config[entry.Name] = *entry.Value
		}
	}
	return topic
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
	return perTopic(all, func(items []topicChanges, answer answer[done]) error {
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
			answer(topic.Topic, done{}, codeError(topic.ErrorCode, topic.ErrorMessage))
		}
		return nil
	})
}

// alterTopics changes config, and returns the outcome of each topic's changes.
// Kafka takes or refuses a topic's keys together; where it refuses several, each
// is sent by itself, so that one bad value does not hold back the others.
func (c *Cluster) alterTopics(ctx context.Context, all []topicChanges) []outcome[[]error] {
	outcomes := make([]outcome[[]error], len(all))
	var again []int // the topics whose keys are sent one by one
	for i, out := range c.alterTogether(ctx, all) {
		outcomes[i].value = slices.Repeat([]error{out.err}, len(all[i].changes))
		if len(all[i].changes) > 1 && isSpecRefused(out.err) {
			again = append(again, i)
		}
	}
	for key := 0; len(again) > 0; key++ {
		again = slices.DeleteFunc(again, func(i int) bool { return key == len(all[i].changes) })
		single := make([]topicChanges, len(again))
		for n, i := range again {
			single[n] = topicChanges{name: all[i].name, changes: all[i].changes[key : key+1]}
		}
		for n, out := range c.alterTogether(ctx, single) {
			outcomes[again[n]].value[key] = out.err
		}
	}
	return outcomes
}

func (c *Cluster) alterTogether(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer[done]) error {
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
			answer(resource.ResourceName, done{}, codeError(resource.ErrorCode, resource.ErrorMessage))
		}
		return nil
	})
}

func (c *Cluster) deleteTopics(ctx context.Context, all []topicChanges) []outcome[done] {
	return perTopic(all, func(items []topicChanges, answer answer[done]) error {
		if err := c.guard(ctx); err != nil {
			return err
		}
		request := kmsg.NewPtrDeleteTopicsRequest()
		request.TimeoutMillis = int32(adminTimeout.Milliseconds())
		names := map[[16]byte]string{}
		for _, item := range items {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			if id, ok := parseTopicID(item.id); ok {
				topic.TopicID, names[id] = id, item.name
			} else {
				topic.Topic = kmsg.StringPtr(item.name)
				request.TopicNames = append(request.TopicNames, item.name) // before v6
			}
			request.Topics = append(request.Topics, topic)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			name, asked := names[topic.TopicID]
			if !asked && topic.Topic != nil {
				name = *topic.Topic
			}
			switch topic.ErrorCode {
			case kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code:
				topic.ErrorCode = 0
			}
			answer(name, done{}, codeError(topic.ErrorCode, topic.ErrorMessage))
		}
		return nil
	})
}
