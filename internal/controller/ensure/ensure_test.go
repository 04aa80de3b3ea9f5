package ensure

import (
	"testing"
	"time"

	"github.com/weir-dev/weir/internal/kafka"
)

func TestContestWords(t *testing.T) {
	t.Parallel()
	now := time.Now()
	segment := kafka.Change{Kind: kafka.SetConfig, Key: "segment.ms", Value: "1000"}
	fought := kafka.Change{Kind: kafka.ResetConfig, Key: "segment.ms", Old: "1000", Overridden: true}
	for _, test := range []struct {
		ensured kafka.Ensured
		want    string
	}{
		{kafka.Ensured{}, ""},
		{kafka.Ensured{Unshown: []kafka.Unshown{{Change: segment, Since: now.Add(-time.Second)}}}, ""},
		{
			kafka.Ensured{Unshown: []kafka.Unshown{{Change: segment, Since: now.Add(-time.Hour)}}},
			"Kafka accepted config segment.ms (asked: 1000, shown: its default) for topic orders and does not show it; remove it from the spec if the brokers do not know it",
		},
		{
			kafka.Ensured{Contested: []kafka.Change{fought}},
			"somebody else changes topic orders again and again: config segment.ms (asked: its default, shown: 1000) is put right each time it is found; settle who decides it",
		},
	} {
		got := ""
		if err := Contested("orders", test.ensured, time.Minute); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
