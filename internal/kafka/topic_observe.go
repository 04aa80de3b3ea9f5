package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ObserveTopic returns what a broker knows of a topic. A topic that does not
// exist is Topic{Name: name}, not an error. Concurrent calls share their
// requests. Right after a creation a broker may not know the topic yet.
func (c *Cluster) ObserveTopic(ctx context.Context, name string) (Topic, error) {
	topic, err := c.observes.do(ctx, name)
	return topic, c.observing(name).failed(err)
}

func (c *Cluster) observing(name string) action {
	return action{c, "observe topic " + name, on(ResourceTopic, name, OperationDescribe, OperationDescribeConfigs)}
}

// ObserveTopics returns what a broker knows of the topics, for a sweep. The
// map holds every topic that could be observed, also where it does not exist;
// the error joins those of the others.
func (c *Cluster) ObserveTopics(ctx context.Context, names []string) (map[string]Topic, error) {
	observed := make(map[string]Topic, len(names))
	var errs []error
	for i, out := range c.observe(ctx, names) {
		if out.err != nil {
			errs = append(errs, c.observing(names[i]).failed(out.err))
			continue
		}
		observed[names[i]] = out.value
	}
	return observed, together(errs)
}

// observe makes one Metadata and one DescribeConfigs request for every
// requestItems names.
func (c *Cluster) observe(ctx context.Context, names []string) []outcome[Topic] {
	found := make(map[string]outcome[Topic], len(names))
	unique := slices.Compact(slices.Sorted(slices.Values(names)))
	for chunk := range slices.Chunk(unique, requestItems) {
		c.observeChunk(ctx, chunk, found)
	}
	outcomes := make([]outcome[Topic], len(names))
	for i, name := range names {
		outcomes[i] = found[name]
	}
	return outcomes
}

func (c *Cluster) observeChunk(ctx context.Context, names []string, found map[string]outcome[Topic]) {
	for _, name := range names {
		found[name] = outcome[Topic]{err: errNoAnswer}
	}
	fail := func(names []string, err error) {
		for _, name := range names {
			found[name] = outcome[Topic]{err: err}
		}
	}

	metadata := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		metadata.Topics = append(metadata.Topics, topic)
	}
	response, err := metadata.RequestWith(ctx, c.client)
	if err == nil {
		err = c.same(response.ClusterID)
	}
	if err != nil {
		fail(names, err)
		return
	}
	var existing []string
	for _, topic := range response.Topics {
		if topic.Topic == nil {
			continue
		}
		name := *topic.Topic
		if topic.ErrorCode == kerr.UnknownTopicOrPartition.Code {
			found[name] = outcome[Topic]{value: Topic{Name: name}}
			continue
		}
		observed, err := observedTopic(topic)
		found[name] = outcome[Topic]{value: observed, err: err}
		if err == nil {
			existing = append(existing, name)
		}
	}
	if len(existing) == 0 {
		return
	}

	describe := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range existing {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType = kmsg.ConfigResourceTypeTopic
		resource.ResourceName = name
		describe.Resources = append(describe.Resources, resource)
	}
	configs, err := describe.RequestWith(ctx, c.client)
	if err != nil {
		fail(existing, err)
		return
	}
	missing := existing
	for _, resource := range configs.Resources {
		name := resource.ResourceName
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == name })
		if err := codeError(resource.ErrorCode, resource.ErrorMessage); err != nil {
			found[name] = outcome[Topic]{err: err}
			continue
		}
		topic := found[name].value
		topic.Config = overrides(resource)
		found[name] = outcome[Topic]{value: topic}
	}
	fail(missing, errNoAnswer)
}

// errNoAnswer is for an item that a response leaves out.
var errNoAnswer = errors.New("the broker's response leaves it out")

func observedTopic(from kmsg.MetadataResponseTopic) (Topic, error) {
	if err := codeError(from.ErrorCode, nil); err != nil {
		return Topic{}, err
	}
	topic := Topic{
		Name: *from.Topic, Exists: true, Internal: from.IsInternal, Partitions: int32(len(from.Partitions)),
	}
	topic.ID = topicID(from.TopicID)
	for i, partition := range from.Partitions {
		replicas := int16(len(partition.Replicas))
		if i == 0 || replicas < topic.Replicas {
			topic.Replicas = replicas
		}
	}
	return topic, nil
}

// topicID is a topic ID in Kafka's notation, empty where there is none.
func topicID(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// parseTopicID is the inverse of topicID.
func parseTopicID(text string) (id [16]byte, ok bool) {
	parsed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(parsed) != len(id) {
		return id, false
	}
	copy(id[:], parsed)
	return id, true
}

func overrides(resource kmsg.DescribeConfigsResponseResource) map[string]string {
	config := map[string]string{}
	for _, entry := range resource.Configs {
		if entry.Source == kmsg.ConfigSourceDynamicTopicConfig && entry.Value != nil {
			config[entry.Name] = *entry.Value
		}
	}
	return config
}
