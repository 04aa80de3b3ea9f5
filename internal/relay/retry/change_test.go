package retry

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

	gone := p.groups[0]
	p.groups = p.groups[1:]
	p.apply()
	env.Until(t, "the first group to be gone", func() bool {
		if phase := w.state().Phase; phase != config.Active {
			t.Errorf("phase %s while a group goes", phase)
		}
		_, still := w.state().Groups[config.GroupFile(first)]
		return !still
	})
	moved := p.committed(deadletter.Failed(first))
	p.produce(numbered(first, 1, 1)...)
	p.produce(numbered(second.Group, 1, 1)...)
	p.read(deadletter.Retry(second.Group), 2)
	if now := p.committed(deadletter.Failed(first)); now != moved {
		t.Errorf("%d records of the group that is gone were moved", now-moved)
	}

	// It comes back.
	p.groups = append(p.groups, gone)
	p.apply()
	p.read(deadletter.Retry(first), 3)
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

	g := &p.groups[0]
	g.MaxAttempts, g.Delays = 2, g.Delays[:1] // Waits stays 3
	p.apply()
	env.Until(t, "the policy to be read", func() bool { return w.current().effective()[0].MaxAttempts == 2 })
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

// TestBadGroupFile checks that a group's file that cannot be used stops no other
// group, and leaves that group as it was.
func TestBadGroupFile(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group, other := p.group([]time.Duration{10 * time.Millisecond}), p.group([]time.Duration{10 * time.Millisecond})
	w, stop := p.active()
	const bad = `{"group": "x", "tomorrow": true}`
	name := config.GroupFile(group)
	p.write(name, bad)
	state := p.awaitGroup(w, group, "the group to be in trouble", failing)
	want := "reading " + name + `: json: unknown field "tomorrow"`
	if state.Digest != config.Digest(bad) || state.Problem.Reason != fileInvalid || state.Problem.Message != want {
		t.Errorf("got %+v, problem %+v, want %s", state, state.Problem, want)
	}
	if w.health.Ready() != nil {
		t.Error("not ready for one group's file")
	}
	for _, g := range []string{group, other} {
		p.produce(numbered(g, 1, 1)...)
		p.read(deadletter.Retry(g), 1)
	}

	// A worker that starts anew has no earlier content to go by.
	stop()
	w, _ = p.active()
	p.awaitGroup(w, group, "the group to be in trouble", failing)
	p.produce(numbered(other, 1, 1)...)
	p.read(deadletter.Retry(other), 2)
	p.produce(numbered(group, 1, 1)...)
	p.apply()
	p.awaitGroup(w, group, "the group to be well", well)
	p.read(deadletter.Retry(group), 2)
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
	other := p.group([]time.Duration{10 * time.Millisecond})
	w, _ := p.active()
	state := p.awaitGroup(w, group, "the group to be in trouble", failing)
	want := "User:" + p.user.Name + ` needs READ and DESCRIBE on topic "` + deadletter.Failed(group) + `"`
	if state.Problem.Reason != kafkasink.TopicUnauthorized || state.Problem.Message != want {
		t.Errorf("problem: %+v, want %s", state.Problem, want)
	}
	if state := w.state(); state.Problem != nil || state.Groups[config.GroupFile(other)].Problem != nil || w.health.Ready() != nil {
		t.Errorf("one group's trouble is that of all: %+v", state)
	}
	p.produce(numbered(other, 1, 1)...)
	p.read(deadletter.Retry(other), 1)
	p.produce(numbered(group, 1, 1)...)
	p.allow(kadm.NewACLs().Topics(deadletter.Failed(group)), kadm.OpRead)
	p.awaitGroup(w, group, "the group to be well", well)
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
	for text, want := range map[string]string{
		`{`:                                      "reading retry.json: unexpected EOF",
		`{"consumerGroup": "g"}`:                 "retry.json: name is empty",
		`{"name": "main"}`:                       "retry.json: consumerGroup is empty",
		`{"name": "main", "consumerGroup": "g"}`: "retry.json: kafka.bootstrapServers is empty",
		`{"nam": "main"}`:                        `reading retry.json: json: unknown field "nam"`,
		`{"name": "main", "consumerGroup": "g", "kafka": {"bootstrapServers": ["k:1"]}}`: "",
	} {
		_, err := parse([]byte(text))
		checkError(t, text, err, want)
	}
	name := config.GroupFile("a")
	of := name + `: group "a": `
	for text, want := range map[string]string{
		`{`: "reading " + name + ": unexpected EOF",
		`{"group": "a", "maxAttempts": 3, "waits": 2, "delays": ["1s"]}`:    of + `maxAttempts 3 needs 2 delays, there are 1`,
		`{"group": "a", "maxAttempts": 2, "waits": 0, "delays": ["1s"]}`:    of + `0 waits are too few for 1 delays`,
		`{"group": "a", "maxAttempts": 2, "waits": 1, "delays": ["0s"]}`:    of + `delay 1 is not positive`,
		`{"group": "a", "maxAttempts": 1, "jitterPercent": 101}`:            of + `jitterPercent must be from 0 to 100, is 101`,
		`{"group": "a", "maxAttempts": 1, "maxElapsed": "-1s"}`:             of + `maxElapsed is negative`,
		`{"group": "a", "maxAttempts": 1, "draining": "Away"}`:              of + `draining must be Retry or DeadLetters, is "Away"`,
		`{"group": "a/b", "maxAttempts": 1}`:                                name + `: group "a/b": group "a/b" cannot have a dead letter lane`,
		`{"group": "b", "maxAttempts": 1}`:                                  name + `: group "b": its file is named ` + config.GroupFile("b"),
		`{"group": "a", "maxAttempts": 2, "waits": 1, "delays": ["1s"]}`:    "",
		`{"group": "a", "maxAttempts": 1, "waits": 3, "draining": "Retry"}`: "",
	} {
		_, err := parseGroup(name, []byte(text))
		checkError(t, text, err, want)
	}
}

func checkError(t *testing.T, text string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
		t.Errorf("%s: error %v, want %q", text, err, want)
	}
}
