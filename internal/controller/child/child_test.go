package child

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDropEmpty(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	fields := m{
		"status": m{"replicas": int64(1)}, "nothing": nil, "empty": m{}, "text": "", "number": int64(0),
		"nested": m{"nothing": nil, "deeper": m{"nothing": nil}},
		"list":   []any{m{"creationTimestamp": nil, "name": "a"}, "b"},
		"volume": m{"emptyDir": m{}},
	}
	dropEmpty(fields)
	want := m{"text": "", "number": int64(0), "list": []any{m{"name": "a"}, "b"}, "volume": m{"emptyDir": m{}}}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}
