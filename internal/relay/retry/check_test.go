package retry

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/relay/config"
)

func TestCheckerJudges(t *testing.T) {
	t.Parallel()
	const read, write = 1 << kmsg.ACLOperationRead, 1 << kmsg.ACLOperationWrite
	needs := needs([]config.RetryGroup{{Group: "g", Waits: 1}})
	// topics answers for all needs; change alters one answer.
	topics := func(name string, change func(*kmsg.MetadataResponseTopic)) map[string]kmsg.MetadataResponseTopic {
		answers := map[string]kmsg.MetadataResponseTopic{}
		for _, n := range needs {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.AuthorizedOperations = kmsg.StringPtr(n.topic), read|write
			if n.topic == name {
				change(&topic)
			}
			answers[n.topic] = topic
		}
		return answers
	}
	operations := func(o int32) func(*kmsg.MetadataResponseTopic) {
		return func(t *kmsg.MetadataResponseTopic) { t.AuthorizedOperations = o }
	}
	code := func(err *kerr.Error) func(*kmsg.MetadataResponseTopic) {
		return func(t *kmsg.MetadataResponseTopic) { t.ErrorCode = err.Code }
	}
	const who = "the client certificate's principal needs "
	for _, test := range []struct {
		name   string
		topics map[string]kmsg.MetadataResponseTopic
		after  time.Duration // since the first look
		want   string
	}{
		{name: "all is well", topics: topics("", nil)},
		{name: "brokers that do not tell", topics: topics("g.failed", operations(-1<<31))},
		{name: "failed unreadable", topics: topics("g.failed", operations(write)), want: who + `READ and DESCRIBE on topic "g.failed"`},
		{name: "wait unwritable", topics: topics("g.wait.1", operations(read)), want: who + `READ, WRITE and DESCRIBE on topic "g.wait.1"`},
		{name: "retry need not be readable", topics: topics("g.retry", operations(write))},
		{name: "retry unwritable", topics: topics("g.retry", operations(read)), want: who + `WRITE and DESCRIBE on topic "g.retry"`},
		{name: "dlt hidden", topics: topics("g.dlt", code(kerr.TopicAuthorizationFailed)), want: who + `WRITE and DESCRIBE on topic "g.dlt"`},
		{name: "a new topic", topics: topics("g.dlt", code(kerr.UnknownTopicOrPartition)), after: topicGrace - 1},
		{
			name: "a missing topic", topics: topics("g.dlt", code(kerr.UnknownTopicOrPartition)), after: topicGrace,
			want: `topic "g.dlt" does not exist; Weir's operator makes it: see the conditions of the ConsumerGroup`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := checker{sink: sink{r: &config.Retry{}}}
			now := time.Now()
			first := c.judge(needs, test.topics, now)["g"]
			if test.after > 0 && first != nil {
				t.Errorf("the first look found %v", first)
			}
			problem := c.judge(needs, test.topics, now.Add(test.after))["g"]
			switch {
			case problem == nil && test.want != "":
				t.Errorf("no problem, want %s", test.want)
			case problem != nil && problem.Message != test.want:
				t.Errorf("got %q, want %q", problem.Message, test.want)
			}
		})
	}
}
