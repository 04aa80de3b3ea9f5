package consumergroup

import (
	"testing"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/kafka"
)

// A lane is not made while the brokers do not show a source; one that is there goes on
// whatever becomes of its sources.
func TestLaneWaitsForItsSources(t *testing.T) {
	t.Parallel()
	shown := []kafka.Topic{{Name: "orders", Exists: true}, {Name: "payments", Exists: true}}
	late := []kafka.Topic{shown[0], {Name: "payments"}}
	none, some := []kafka.Topic{{Name: "failed"}, {Name: "retry"}}, []kafka.Topic{{Name: "failed", Exists: true}, {Name: "retry"}}
	for _, test := range []struct {
		sources, lane []kafka.Topic
		want          string
	}{
		{shown, none, ""},
		{late, shown, ""},
		{late, none, `the brokers do not show topic "payments" yet, whose partitions decide how many the dead letter topics get`},
		{late, some, `the brokers do not show topic "payments" yet, whose partitions decide how many the dead letter topics get`},
	} {
		got := ""
		if err := notShown(test.sources, test.lane); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("sources %+v, lane %+v: %q, want %q", test.sources, test.lane, got, test.want)
		}
	}
}

// A lane takes what its sources take, with the headers that come on top; Kafka's
// own limit is an int32.
func TestLargestRecord(t *testing.T) {
	t.Parallel()
	for of, want := range map[string]int64{
		"": brokerLimit + laneHeaders, "1000": brokerLimit + laneHeaders, "2000000": 2000000 + laneHeaders,
		"2147483647": 2147483647, "9223372036854775807": 2147483647, "many": brokerLimit + laneHeaders,
	} {
		source := estate.Referred{Topic: &v1alpha1.Topic{Spec: v1alpha1.TopicSpec{Config: v1alpha1.TopicConfig{"max.message.bytes": of}}}}
		if got := largestRecord(&v1alpha1.KafkaCluster{}, []estate.Referred{source}); got != want {
			t.Errorf("of a source with max.message.bytes=%q: %d, want %d", of, got, want)
		}
	}
}

func TestLonger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		one, other string
		want       bool
	}{
		{"-1", "604800000", true}, {"604800000", "-1", false}, {"604800001", "604800000", true},
		{"604800000", "604800000", false}, {"", "604800000", false}, {"-1", "-1", false},
	} {
		if got := longer(test.one, test.other); got != test.want {
			t.Errorf("longer(%q, %q) = %t", test.one, test.other, got)
		}
	}
}
