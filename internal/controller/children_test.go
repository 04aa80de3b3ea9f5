package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	type l = []any
	for name, test := range map[string]struct {
		actual, desired any
		want            bool
	}{
		"the same":                      {m{"a": "1"}, m{"a": "1"}, true},
		"a default that was added":      {m{"a": "1", "b": "2"}, m{"a": "1"}, true},
		"another value":                 {m{"a": "2"}, m{"a": "1"}, false},
		"a value that is missing":       {m{}, m{"a": "1"}, false},
		"the kind, which caches drop":   {m{"a": "1"}, m{"a": "1", "kind": "ConfigMap", "apiVersion": "v1"}, true},
		"numbers of two types":          {m{"a": int64(3)}, m{"a": float64(3)}, true},
		"deep down":                     {m{"a": l{m{"b": "1", "c": "2"}}}, m{"a": l{m{"b": "1"}}}, true},
		"deep down, another":            {m{"a": l{m{"b": "2"}}}, m{"a": l{m{"b": "1"}}}, false},
		"a longer list":                 {m{"a": l{"1", "2"}}, m{"a": l{"1"}}, false},
		"a list in another order":       {m{"a": l{"2", "1"}}, m{"a": l{"1", "2"}}, false},
		"no list":                       {m{"a": "1"}, m{"a": l{"1"}}, false},
		"no map":                        {m{"a": "1"}, m{"a": m{"b": "1"}}, false},
		"an empty string that is there": {m{"a": ""}, m{"a": ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := covers(test.actual, test.desired); got != test.want {
				t.Errorf("covers is %t", got)
			}
		})
	}
}

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
