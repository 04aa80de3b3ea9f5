package retry

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

// TestTwoFailures follows a record that fails twice and then succeeds: it
// waits as long as the schedule says, and carries its history.
func TestTwoFailures(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	delays := []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, time.Hour}
	group := p.group(delays)
	p.active()
	retry := p.reader(deadletter.Retry(group))

	failed := p.produce(&kgo.Record{
		Topic: deadletter.Failed(group), Key: []byte("order-1"), Value: []byte(`{"total": 3}`),
		Headers: append([]kgo.RecordHeader{
			{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
			{Key: deadletter.OriginalTopic, Value: []byte("shop.orders")},
			{Key: deadletter.OriginalPartition, Value: []byte("1")},
			{Key: deadletter.OriginalOffset, Value: []byte("17")},
			{Key: deadletter.OriginalTimestamp, Value: []byte("2026-03-01T11:00:00.000Z")},
		}, failedBy("Timeout", "no answer")...),
	})[0]
	for i, delay := range delays[:2] {
		again := retry.next(1)[0]
		waited := again.Timestamp.Sub(failed.Timestamp)
		if waited < delay || waited > delay+sluggish {
			t.Errorf("wait %d took %s, the schedule says %s", i+1, waited, delay)
		}
		if due := headerTime(t, again, deadletter.NotBefore); again.Timestamp.Before(due) {
			t.Errorf("wait %d ended at %s, before %s", i+1, again.Timestamp, due)
		}
		want := []string{
			"traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			"weir-original-topic=shop.orders", "weir-original-partition=1", "weir-original-offset=17",
			"weir-original-timestamp=2026-03-01T11:00:00.000Z",
			[]string{"weir-attempt=2", "weir-attempt=3"}[i],
			"weir-first-failure=" + header(t, again, deadletter.FirstFailure),
			[]string{"weir-error-class=Timeout", "weir-error-class=Refused"}[i],
			[]string{"weir-error-message=no answer", "weir-error-message=not now"}[i],
			"weir-not-before=" + header(t, again, deadletter.NotBefore),
		}
		if diff := cmp.Diff(want, texts(again)); diff != "" {
			t.Errorf("headers after wait %d (-want +got):\n%s", i+1, diff)
		}
		if string(again.Key) != "order-1" || string(again.Value) != `{"total": 3}` {
			t.Errorf("key %q, value %q", again.Key, again.Value)
		}
		if i == 0 {
			failed = p.produce(failAgain(again, group, "Refused", "not now"))[0]
		}
	}
	if n := p.count(deadletter.DLT(group)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// TestPermanentError checks that a record which can never succeed goes
// straight to the dead letter topic and says what, where, when and why.
func TestPermanentError(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{time.Hour}, func(g *config.RetryGroup) { g.PermanentErrors = []string{"*SchemaException"} })
	w, _ := p.active()
	began := time.Now().Truncate(time.Millisecond)
	p.produce(&kgo.Record{
		Topic: deadletter.Failed(group), Key: []byte("order-1"), Value: []byte("{"),
		Headers: append([]kgo.RecordHeader{
			{Key: deadletter.OriginalTopic, Value: []byte("shop.orders")},
			{Key: "type", Value: []byte("OrderPlaced")},
		}, failedBy("org.example.SchemaException", "unexpected end")...),
	})
	dead := p.read(deadletter.DLT(group), 1)[0]
	want := []string{
		"weir-original-topic=shop.orders", "type=OrderPlaced",
		"weir-original-timestamp=" + header(t, dead, deadletter.OriginalTimestamp),
		"weir-attempt=1", "weir-first-failure=" + header(t, dead, deadletter.FirstFailure),
		"weir-error-class=org.example.SchemaException", "weir-error-message=unexpected end",
		"weir-group=" + group, "weir-reason=PermanentError",
		"weir-dead-lettered-at=" + header(t, dead, deadletter.DeadLetteredAt),
	}
	if diff := cmp.Diff(want, texts(dead)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for _, key := range []string{deadletter.OriginalTimestamp, deadletter.FirstFailure, deadletter.DeadLetteredAt} {
		if at := headerTime(t, dead, key); at.Before(began) || at.After(time.Now()) {
			t.Errorf("%s is %s, the record failed after %s", key, at, began)
		}
	}
	env.Until(t, "the dead letter to be counted", func() bool { return w.state().Moved[toDLT] == 1 })
	if n := p.count(deadletter.Wait(group, 1)); n != 0 {
		t.Errorf("%d records wait", n)
	}
}

// TestAttemptsExhausted checks that a record that fails every time ends as a dead letter.
func TestAttemptsExhausted(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond, 20 * time.Millisecond})
	w, _ := p.active()
	retry := p.reader(deadletter.Retry(group))
	p.produce(numbered(group, 1, 1)...)
	for range 2 {
		p.produce(failAgain(retry.next(1)[0], group, "Timeout", "again"))
	}
	dead := p.read(deadletter.DLT(group), 1)[0]
	if attempts, reason := header(t, dead, deadletter.Attempt), header(t, dead, deadletter.ReasonHeader); attempts != "3" || reason != "AttemptsExhausted" {
		t.Errorf("attempts %s, reason %s", attempts, reason)
	}
	env.Until(t, "everything to be counted", func() bool {
		return cmp.Equal(map[string]int64{toWait: 2, toRetry: 2, toDLT: 1}, w.state().Moved)
	})
}

// TestBytes checks that keys and values stay as they are, to the difference
// between null and empty, on the way to the retry topic and to the dead letters.
func TestBytes(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	p.active()
	retry := p.reader(deadletter.Retry(group))
	dlt := p.reader(deadletter.DLT(group))
	for _, text := range []struct {
		name       string
		key, value []byte
	}{
		{"null", nil, nil},
		{"empty", []byte{}, []byte{}},
		{"null key", nil, []byte("v")},
		{"tombstone", []byte("k"), nil},
		{"binary", []byte{0, 0xff, '\n'}, []byte{0xc3, 0x28, 0}},
		{"large", []byte("k"), []byte(strings.Repeat("v", 500_000))},
	} {
		p.produce(&kgo.Record{Topic: deadletter.Failed(group), Key: text.key, Value: text.value})
		again := retry.next(1)[0]
		p.produce(failAgain(again, group, "Timeout", ""))
		dead := dlt.next(1)[0]
		for _, r := range []*kgo.Record{again, dead} {
			if !same(r.Key, text.key) || !same(r.Value, text.value) {
				t.Errorf("%s: topic %s has another key or value", text.name, r.Topic)
			}
		}
	}
}

// TestLargeRecords checks that the topics' own limit counts, also one that is
// raised while a record that exceeds it blocks its partition.
func TestLargeRecords(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	topics, err := deadletter.Topics(group, 1)
	if err != nil {
		t.Fatal(err)
	}
	limit := func(value string, topics ...string) {
		t.Helper()
		altered, err := p.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &value}}, topics...)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range altered {
			if a.Err != nil {
				t.Fatal(a.Err)
			}
		}
	}
	limit("4000000", topics...)
	limit("1500000", deadletter.Wait(group, 1))
	for _, topic := range written(p.groups) {
		p.allow(kadm.NewACLs().Topics(topic), kadm.OpDescribeConfigs)
	}
	p.client = p.kafka.Client(t, p.kafka.Admin, kgo.ProducerBatchMaxBytes(4_000_000))
	w, _ := p.active()
	retry := p.reader(deadletter.Retry(group))
	failed := func(size int, random bool) {
		t.Helper()
		value := make([]byte, size)
		if random {
			rand.Read(value) // it does not get smaller by compression, after which the broker judges it
		}
		p.produce(&kgo.Record{Topic: deadletter.Failed(group), Key: []byte("k"), Value: value})
	}
	failed(1_200_000, true)
	retry.next(1)
	failed(3_200_000, false)
	retry.next(1)
	failed(2_000_000, true)
	state := p.awaitGroup(w, group, "the record to be refused", failing)
	if state.Problem.Reason != recordRefused || !strings.Contains(state.Problem.Message, "the record at offset 2 of "+deadletter.Failed(group)) {
		t.Errorf("problem: %+v", state.Problem)
	}
	limit("4000000", deadletter.Wait(group, 1))
	retry.next(1)
	p.awaitGroup(w, group, "the group to be well", well)
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// TestOrder checks that the records of a key stay in order through a wait.
func TestOrder(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{50 * time.Millisecond}, func(g *config.RetryGroup) { g.JitterPercent = 100 })
	p.active()
	const keys, n = 20, 5_000
	records := p.produce(numbered(group, keys, n)...)
	if diff := cmp.Diff(valuesByKey(records), valuesByKey(p.read(deadletter.Retry(group), n))); diff != "" {
		t.Errorf("values by key (-want +got):\n%s", diff)
	}
}

// TestSleepersHoldNobody checks that a long wait delays neither a short one
// nor another group, and that a full sleeping lane pauses its partition.
func TestSleepersHoldNobody(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{50 * time.Millisecond, time.Hour})
	other := p.group([]time.Duration{50 * time.Millisecond})
	p.active()
	retry := p.reader(deadletter.Retry(group))
	var sleepers []*kgo.Record
	for range 60 { // more than a lane queues
		sleepers = append(sleepers, &kgo.Record{Topic: deadletter.Failed(group), Value: make([]byte, 100_000)})
	}
	p.produce(sleepers...)
	for _, r := range retry.next(len(sleepers)) {
		p.produce(failAgain(r, group, "Timeout", "again"))
	}
	env.Until(t, "all of them to sleep", func() bool { return p.count(deadletter.Wait(group, 2)) == int64(len(sleepers)) })
	for _, g := range []string{group, other} {
		failed := p.produce(numbered(g, 1, 1)...)[0]
		reader := retry
		if g == other {
			reader = p.reader(deadletter.Retry(other))
		}
		if waited := reader.next(1)[0].Timestamp.Sub(failed.Timestamp); waited > sluggish {
			t.Errorf("the record waited %s", waited)
		}
	}
}
