package deadletter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("g", 242) // .failed and .wait.1 are 7 characters
	tests := []struct {
		name    string
		group   string
		waits   int
		want    []string
		wantErr string
	}{
		{
			name: "two waits", group: "finance.billing", waits: 2,
			want: []string{"finance.billing.failed", "finance.billing.retry", "finance.billing.wait.1", "finance.billing.wait.2", "finance.billing.dlt"},
		},
		{name: "no wait", group: "billing", want: []string{"billing.failed", "billing.retry", "billing.dlt"}},
		{name: "the longest name", group: long, waits: 1, want: []string{long + ".failed", long + ".retry", long + ".wait.1", long + ".dlt"}},
		{
			name: "one wait too long", group: long, waits: 10,
			wantErr: `group "` + long + `" cannot have a dead letter lane: the name of its topic ` + long + `.wait.10 has 250 characters, Kafka allows 249`,
		},
		{
			name: "a character that topics may not have", group: "a/b", waits: 1,
			wantErr: `group "a/b" cannot have a dead letter lane: its topics are named after it, and a topic's name may hold letters, digits, '.', '_' and '-' only`,
		},
		{name: "empty", wantErr: "the group's name is empty, so its topics cannot be named"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Topics(test.group, test.waits)
			if diff := cmp.Diff(test.wantErr, message(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("topics (-want +got):\n%s", diff)
			}
		})
	}
}
