package consumergroup

import (
	"testing"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
)

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
