package harness

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/kafka"
)

// Admin is a connection as the cluster's super user.
func (h *Harness) Admin() *kafka.Cluster {
	h.Helper()
	cluster, err := kafka.Connect(kafka.Config{
		BootstrapServers: h.Kafka.Bootstrap,
		SASL: &kafka.SASL{
			Mechanism: string(mechanisms[h.Kafka.Admin.Mechanism]),
			Credentials: func(context.Context) (string, string, error) {
				return h.Kafka.Admin.Name, h.Kafka.Admin.Password, nil
			},
		},
	})
	h.Must(err)
	h.Cleanup(cluster.Close)
	return cluster
}

// KafkaWrites counts the requests of this test's operator that change the
// cluster, on kfake; Apache Kafka cannot be watched like that, and the count
// stays 0 there.
func (h *Harness) KafkaWrites() *atomic.Int64 {
	count := new(atomic.Int64)
	fake, mine := h.Kafka.Fake, h.Namespace // kfake keeps what it is given, and must not keep the test
	if fake == nil {
		return count
	}
	for _, key := range []kmsg.Key{
		kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.IncrementalAlterConfigs, kmsg.CreateACLs, kmsg.DeleteACLs,
	} {
		fake.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			if strings.Contains(fmt.Sprintf("%+v", request), mine) {
				count.Add(1)
			}
			return nil, nil, false
		})
	}
	return count
}

// MakeTopic makes a topic behind the operator's back.
func (h *Harness) MakeTopic(name string, partitions int32, config map[string]string) kafka.Topic {
	h.Helper()
	spec := kafka.TopicSpec{Name: name, Partitions: partitions, Config: config}
	admin := h.Admin()
	h.Must(admin.ApplyTopic(h.Context(), name, kafka.PlanTopic(spec, kafka.Topic{Name: name}).Changes))
	var topic kafka.Topic
	h.Await(func() string {
		var err error
		if topic, err = admin.ObserveTopic(h.Context(), name); err != nil {
			return err.Error()
		}
		if !topic.Exists {
			return "no topic " + name
		}
		return ""
	})
	return topic
}

// DropTopic deletes a topic behind the operator's back.
func (h *Harness) DropTopic(name string) {
	h.Helper()
	admin := h.Admin()
	h.Must(admin.DeleteTopic(h.Context(), name, ""))
	h.Await(func() string {
		if topic, err := admin.ObserveTopic(h.Context(), name); err != nil || topic.Exists {
			return fmt.Sprintf("topic %s is still there: %v", name, err)
		}
		return ""
	})
}

// RefuseConfig makes sure that the cluster refuses the config key for the
// topic: Apache Kafka does, and kfake, which takes any key, is told to.
func (h *Harness) RefuseConfig(topic, key string) {
	h.Helper()
	if h.Kafka.Fake == nil {
		return
	}
	has := func(request kmsg.Request) bool {
		for _, resource := range request.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			for _, entry := range resource.Configs {
				if resource.ResourceName == topic && entry.Name == key {
					return true
				}
			}
		}
		return false
	}
	h.Cleanup(h.Kafka.Fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Resource: topic, Err: kerr.InvalidConfig, Count: -1, When: has,
	}).Remove)
}

// Produce writes n records with this time into a topic.
func (h *Harness) Produce(topic string, n int, at time.Time) {
	h.Helper()
	producer := h.Kafka.Client(h.T, h.Kafka.Admin)
	for range n {
		h.Must(producer.ProduceSync(h.Context(), &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: at}).FirstErr())
	}
}

// Commit commits that a group has read so many records of a topic's partition 0.
func (h *Harness) Commit(group, topic string, offset int64) {
	h.Helper()
	admin := kadm.NewClient(h.Kafka.Client(h.T, h.Kafka.Admin))
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, offset, -1)
	h.Await(func() string {
		ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
		defer cancel()
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			return err.Error()
		}
		return ""
	})
}

// WantsTopic compares what the broker shows, once it shows it.
func (h *Harness) WantsTopic(want kafka.Topic, topic *v1alpha1.Topic) {
	h.Helper()
	admin := h.Admin()
	h.Await(func() string {
		got, err := admin.ObserveTopic(h.Context(), topic.Status.TopicName)
		if err != nil {
			return err.Error()
		}
		want.Name, want.ID, want.Exists, want.Replicas = got.Name, got.ID, true, got.Replicas
		return cmp.Diff(want, got)
	})
}

// WantsBindings compares the bindings on a resource name, once the broker shows them.
func (h *Harness) WantsBindings(name string, want ...kafka.Binding) {
	h.Helper()
	wanted := map[kafka.Binding]struct{}{}
	for _, binding := range want {
		wanted[binding] = struct{}{}
	}
	admin := h.Admin()
	h.Await(func() string {
		all, err := admin.Bindings(h.Context())
		if err != nil {
			return err.Error()
		}
		got := map[kafka.Binding]struct{}{}
		for binding := range all {
			if binding.Name == name {
				got[binding] = struct{}{}
			}
		}
		return cmp.Diff(wanted, got)
	})
}
