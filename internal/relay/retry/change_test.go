package retry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/test/env"
)

// TestGroupsComeAndGo checks that the worker follows its file: no group at
// first, then one, another whose topics appear later, and the first one gone.
func TestGroupsComeAndGo(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	w, _ := p.active()
	if state := w.state(); len(state.Groups) != 0 || w.health.Ready() != nil {
		t.Errorf("without groups: %+v", state)
	}
	first := p.group([]time.Duration{10 * time.Millisecond})
	p.produce(numbered(first, 1, 1)...)
	p.read(deadletter.Retry(first), 1)

	second := p.declare([]time.Duration{10 * time.Millisecond})
	env.Until(t, "the second group to be read", func() bool { return len(w.state().Groups) == 2 })
	p.createTopics(second)
	p.produce(numbered(second.Group, 1, 1)...)
	p.read(deadletter.Retry(second.Group), 1)
	p.produce(numbered(first, 1, 1)...)
	p.read(deadletter.Retry(first), 2)

	p.config.Groups = p.config.Groups[1:]
	p.apply()
	env.Until(t, "the first group to be gone", func() bool {
		return cmp.Equal([]string{second.Group}, w.state().Groups) && w.state().Phase == config.Active
	})
	p.produce(numbered(second.Group, 1, 1)...)
	p.read(deadletter.Retry(second.Group), 2)
}

// TestShorterSchedule checks that records in wait topics that the schedule no
// longer uses still come back, and then count by the new one.
func TestShorterSchedule(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 3 * time.Second})
	w, _ := p.active()
	retry := p.reader(deadletter.Retry(group))
	p.produce(numbered(group, 1, 1)...)
	for range 2 {
		p.produce(failAgain(retry.next(1)[0], group, "Timeout", "again"))
	}
	env.Until(t, "the record to wait", func() bool { return w.state().Moved[toWait] == 3 })

	g := &p.config.Groups[0]
	g.MaxAttempts, g.Delays = 2, g.Delays[:1] // Waits stays 3
	p.apply()
	env.Until(t, "the policy to be read", func() bool { return w.current().Groups[0].MaxAttempts == 2 })
	p.produce(failAgain(retry.next(1)[0], group, "Timeout", "again"))
	dead := p.read(deadletter.DLT(group), 1)[0]
	if attempts, reason := header(t, dead, deadletter.Attempt), header(t, dead, deadletter.ReasonHeader); attempts != "4" || reason != "AttemptsExhausted" {
		t.Errorf("attempts %s, reason %s", attempts, reason)
	}
}

// TestTopicMadeAnew checks that the worker reads a topic that was deleted and
// made again, which the Kafka client alone would not.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	p.active()
	failed := deadletter.Failed(group)
	p.produce(numbered(group, 1, 1)...)
	p.read(deadletter.Retry(group), 1)
	env.Until(t, "the record to be committed", func() bool { return p.committed(failed) == 1 })
	if _, err := p.admin.DeleteTopic(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	env.Until(t, "the topic to be made again", func() bool {
		_, err := p.admin.CreateTopic(t.Context(), partitions, 1, nil, failed)
		return err == nil
	})
	p.client = p.kafka.Client(t, p.kafka.Admin) // a service that starts anew
	p.produce(numbered(group, 1, 1)...)
	p.read(deadletter.Retry(group), 2)
}

// TestBadFile checks that a file that cannot be used changes nothing but the state.
func TestBadFile(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	w, _ := p.active()
	p.write(config.RetryFile, `{"name": "main", "consumerGroup": ""}`)
	state := p.awaitPhase(w, config.Failing)
	if state.Problem.Reason != fileInvalid || state.Problem.Message != "retry.json: consumerGroup is empty" {
		t.Errorf("problem: %+v", state.Problem)
	}
	p.produce(numbered(group, 1, 1)...)
	p.read(deadletter.Retry(group), 1)
	p.apply()
	p.awaitPhase(w, config.Active)
}

// TestMissingGrants checks that the state names the ACL that is missing, and
// that the worker goes on once it is there.
func TestMissingGrants(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	filter := kadm.NewACLs().Allow("User:" + p.user.Name).Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	deleteACLs := func(topic string) {
		if _, err := p.admin.DeleteACLs(t.Context(), filter.Topics(topic).AllowHosts()); err != nil {
			t.Fatal(err)
		}
	}
	deleteACLs(deadletter.Failed(group))
	w, _ := p.start()
	state := p.awaitPhase(w, config.Failing)
	want := "User:" + p.user.Name + ` needs READ and DESCRIBE on topic "` + deadletter.Failed(group) + `"`
	if state.Problem.Reason != kafkasink.TopicUnauthorized || state.Problem.Message != want {
		t.Errorf("problem: %+v, want %s", state.Problem, want)
	}
	if w.health.Ready() == nil {
		t.Error("ready although it may not read")
	}
	p.produce(numbered(group, 1, 1)...)
	p.allow(kadm.NewACLs().Topics(deadletter.Failed(group)), kadm.OpRead)
	p.awaitPhase(w, config.Active)
	p.read(deadletter.Retry(group), 1)
}

// TestMissingGroupGrant checks the same for the consumer group.
func TestMissingGroupGrant(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	p.config.ConsumerGroup += "-other"
	p.apply()
	w, _ := p.start()
	want := "User:" + p.user.Name + ` may not use the consumer group "` + p.config.ConsumerGroup + `"; it needs READ and DESCRIBE on the group`
	env.Await(t, func() string { // a broker may still miss the grants on the topics
		problem := w.state().Problem
		if problem != nil && problem.Reason == groupUnauthorized && problem.Message == want {
			return ""
		}
		return fmt.Sprintf("problem: %+v, want %s", problem, want)
	})
	p.allow(kadm.NewACLs().Groups(p.config.ConsumerGroup), kadm.OpRead)
	p.awaitPhase(w, config.Active)
	p.produce(numbered(group, 1, 1)...)
	p.read(deadletter.Retry(group), 1)
}

// TestFileChecks refuses what would lose or strand records.
func TestFileChecks(t *testing.T) {
	t.Parallel()
	const head = `{"name": "main", "consumerGroup": "g", "kafka": {"bootstrapServers": ["k:1"]}, "groups": [`
	for text, want := range map[string]string{
		`{`:                                      "reading retry.json: unexpected EOF",
		`{"consumerGroup": "g"}`:                 "retry.json: name is empty",
		`{"name": "main", "consumerGroup": "g"}`: "retry.json: kafka.bootstrapServers is empty",
		`{"nam": "main"}`:                        `reading retry.json: json: unknown field "nam"`,
		head + `{"group": "a", "maxAttempts": 3, "waits": 2, "delays": ["1s"]}]}`:     `retry.json: group "a": maxAttempts 3 needs 2 delays, there are 1`,
		head + `{"group": "a", "maxAttempts": 2, "waits": 0, "delays": ["1s"]}]}`:     `retry.json: group "a": 0 waits are too few for 1 delays`,
		head + `{"group": "a", "maxAttempts": 2, "waits": 1, "delays": ["0s"]}]}`:     `retry.json: group "a": delay 1 is not positive`,
		head + `{"group": "a", "maxAttempts": 1}, {"group": "a", "maxAttempts": 1}]}`: `retry.json: group "a" appears twice`,
		head + `{"group": "a", "maxAttempts": 1, "jitterPercent": 101}]}`:             `retry.json: group "a": jitterPercent must be from 0 to 100, is 101`,
		head + `{"group": "a", "maxAttempts": 1, "maxElapsed": "-1s"}]}`:              `retry.json: group "a": maxElapsed is negative`,
		head + `{"group": "a/b", "maxAttempts": 1}]}`:                                 `retry.json: group "a/b": group "a/b" cannot have a dead letter lane`,
		head + `{"group": "a", "maxAttempts": 2, "waits": 1, "delays": ["1s"]}]}`:     "",
	} {
		_, err := parse([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
