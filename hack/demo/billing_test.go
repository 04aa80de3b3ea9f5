package main

import (
	"testing"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		billed map[string][]int
		placed map[string]int
		except []string
		want   string
	}{
		"all of them":          {billed: map[string][]int{"a": {1, 2}, "b": {1}}, placed: map[string]int{"a": 2, "b": 1}},
		"one is to come":       {billed: map[string][]int{"a": {1}}, placed: map[string]int{"a": 2}, want: "billing has read 1 of the 2 orders of a"},
		"one is lost":          {billed: map[string][]int{"a": {1, 3}}, placed: map[string]int{"a": 3}, want: "billing read order 3 of a where 2 was next"},
		"out of order":         {billed: map[string][]int{"a": {2, 1}}, placed: map[string]int{"a": 2}, want: "billing read order 2 of a where 1 was next"},
		"twice":                {billed: map[string][]int{"a": {1, 1}}, placed: map[string]int{"a": 2}, want: "billing read order 1 of a where 2 was next"},
		"rolled back":          {billed: map[string][]int{"a": {1, 2}}, placed: map[string]int{"a": 1}, want: "billing has read 2 of the 1 orders of a"},
		"of nobody":            {billed: map[string][]int{"a": {1}}, placed: map[string]int{}, want: "billing has read an order of a, who has placed none"},
		"one cannot be billed": {billed: map[string][]int{}, placed: map[string]int{"a": 1}, except: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &billing{billed: test.billed}
			got := ""
			if err := b.compare(test.placed, test.except...); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("compare says %q, want %q", got, test.want)
			}
		})
	}
}
