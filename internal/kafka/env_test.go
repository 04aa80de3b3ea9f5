package kafka_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// The tests of this package run on kfake and, with WEIR_TEST_KAFKA=apache, on
// Apache Kafka, unchanged: see test/env.
func TestMain(m *testing.M) { env.Main(m) }

var mechanisms = map[string]string{
	env.Plain:       kafka.Plain,
	env.ScramSHA256: kafka.ScramSHA256,
	env.ScramSHA512: kafka.ScramSHA512,
}

func config(cluster *env.Kafka, user env.User) kafka.Config {
	return kafka.Config{
		BootstrapServers: cluster.Bootstrap,
		ClientID:         "weir-test",
		SASL: &kafka.SASL{
			Mechanism: mechanisms[user.Mechanism],
			Credentials: func(context.Context) (string, string, error) {
				return user.Name, user.Password, nil
			},
		},
	}
}

// connect is a Cluster as the shared cluster's super user.
func connect(t *testing.T) *kafka.Cluster {
	t.Helper()
	shared := env.SharedKafka(t)
	return connectAs(t, config(shared, shared.Admin))
}

func connectAs(t *testing.T, config kafka.Config) *kafka.Cluster {
	t.Helper()
	cluster, err := kafka.Connect(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// awaitTopic polls until the topic is as wanted.
func awaitTopic(t *testing.T, cluster *kafka.Cluster, name string, ok func(kafka.Topic) bool) kafka.Topic {
	t.Helper()
	var topic kafka.Topic
	env.Await(t, func() string {
		var err error
		if topic, err = cluster.ObserveTopic(t.Context(), name); err != nil {
			return err.Error()
		}
		if !ok(topic) {
			return "topic is " + format(topic)
		}
		return ""
	})
	return topic
}

// refuseConfig makes sure that the cluster refuses the config key for the
// topic: Apache Kafka does, and kfake, which takes any key, is told to.
func refuseConfig(t *testing.T, topic, key string) {
	t.Helper()
	fake := env.SharedKafka(t).Fake
	if fake == nil {
		return
	}
	handle := fake.Fault(
		kfake.Fault{
			Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: topic, Err: kerr.InvalidConfig, Count: -1,
			When: func(request kmsg.Request) bool {
				for _, t := range request.(*kmsg.CreateTopicsRequest).Topics {
					for _, entry := range t.Configs {
						if t.Topic == topic && entry.Name == key {
							return true
						}
					}
				}
				return false
			},
		},
		kfake.Fault{
			Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Resource: topic, Err: kerr.InvalidConfig, Count: -1,
			When: func(request kmsg.Request) bool {
				for _, resource := range request.(*kmsg.IncrementalAlterConfigsRequest).Resources {
					for _, entry := range resource.Configs {
						if resource.ResourceName == topic && entry.Name == key {
							return true
						}
					}
				}
				return false
			},
		},
	)
	t.Cleanup(handle.Remove)
}
