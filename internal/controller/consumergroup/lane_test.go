package consumergroup

import "testing"

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
