package controller

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

// admin is a connection as the cluster's super user.
func (h *harness) admin() *kafka.Cluster {
	h.Helper()
	cluster, err := kafka.Connect(kafka.Config{
		BootstrapServers: h.kafka.Bootstrap,
		SASL: &kafka.SASL{
			Mechanism: string(mechanisms[h.kafka.Admin.Mechanism]),
			Credentials: func(context.Context) (string, string, error) {
				return h.kafka.Admin.Name, h.kafka.Admin.Password, nil
			},
		},
	})
	h.must(err)
	h.Cleanup(cluster.Close)
	return cluster
}

// kafkaWrites counts the requests of this test's operator that change the
// cluster, on kfake; Apache Kafka cannot be watched like that, and the count
// stays 0 there.
func (h *harness) kafkaWrites() *atomic.Int64 {
	count := new(atomic.Int64)
	fake, mine := h.kafka.Fake, h.namespace // kfake keeps what it is given, and must not keep the test
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

// makeTopic makes a topic behind the operator's back.
func (h *harness) makeTopic(name string, partitions int32, config map[string]string) kafka.Topic {
	h.Helper()
	spec := kafka.TopicSpec{Name: name, Partitions: partitions, Config: config}
	admin := h.admin()
	h.must(admin.ApplyTopic(h.Context(), name, kafka.PlanTopic(spec, kafka.Topic{Name: name}).Changes))
	var topic kafka.Topic
	h.await(func() string {
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

// dropTopic deletes a topic behind the operator's back.
func (h *harness) dropTopic(name string) {
	h.Helper()
	admin := h.admin()
	h.must(admin.DeleteTopic(h.Context(), name))
	h.await(func() string {
		if topic, err := admin.ObserveTopic(h.Context(), name); err != nil || topic.Exists {
			return fmt.Sprintf("topic %s is still there: %v", name, err)
		}
		return ""
	})
}

// refuseConfig makes sure that the cluster refuses the config key for the
// topic: Apache Kafka does, and kfake, which takes any key, is told to.
func (h *harness) refuseConfig(topic, key string) {
	h.Helper()
	if h.kafka.Fake == nil {
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
	h.Cleanup(h.kafka.Fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.IncrementalAlterConfigs}, Resource: topic, Err: kerr.InvalidConfig, Count: -1, When: has,
	}).Remove)
}

// produce writes n records with this time into a topic.
func (h *harness) produce(topic string, n int, at time.Time) {
	h.Helper()
	producer := h.kafka.Client(h.T, h.kafka.Admin)
	for range n {
		h.must(producer.ProduceSync(h.Context(), &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: at}).FirstErr())
	}
}

// commit commits that a group has read so many records of a topic's partition 0.
func (h *harness) commit(group, topic string, offset int64) {
	h.Helper()
	admin := kadm.NewClient(h.kafka.Client(h.T, h.kafka.Admin))
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, offset, -1)
	h.await(func() string {
		ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
		defer cancel()
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			return err.Error()
		}
		return ""
	})
}

// wantsTopic compares what the broker shows, once it shows it.
func (h *harness) wantsTopic(want kafka.Topic, topic *v1alpha1.Topic) {
	h.Helper()
	admin := h.admin()
	h.await(func() string {
		got, err := admin.ObserveTopic(h.Context(), topic.Status.TopicName)
		if err != nil {
			return err.Error()
		}
		want.Name, want.ID, want.Exists, want.Replicas = got.Name, got.ID, true, got.Replicas
		return cmp.Diff(want, got)
	})
}

// wantsBindings compares the bindings on a resource name, once the broker shows them.
func (h *harness) wantsBindings(name string, want ...kafka.Binding) {
	h.Helper()
	wanted := map[kafka.Binding]struct{}{}
	for _, binding := range want {
		wanted[binding] = struct{}{}
	}
	admin := h.admin()
	h.await(func() string {
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
