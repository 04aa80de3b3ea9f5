package lag

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLaddersOfATopicHaveTheRungsOfAllItsGroups(t *testing.T) {
	t.Parallel()
	const s = time.Second
	got := ladders(map[string]Spec{
		"fast":     {Topics: []string{"a"}, MaxTime: 4 * s},
		"slow":     {Topics: []string{"a", "b"}, MaxTime: 16 * s},
		"any":      {Topics: []string{"c"}},
		"too slow": {Topics: []string{"d"}, MaxTime: forever / 5},
	})
	want := map[string]ladder{
		"a": {s, 4 * s, 16 * s, 64 * s, 256 * s},
		"b": {4 * s, 16 * s, 64 * s, 256 * s},
		"c": defaultLadder,
		"d": {forever / 5 / 4, forever / 5, forever / 5 * 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ladders (-want +got):\n%s", diff)
	}
}
