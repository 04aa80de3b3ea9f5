package retry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }

const (
	// patience is how long a test waits for something that ought to happen.
	patience = 30 * time.Second
	// sluggish is the most that a wait may take beyond its delay on a busy machine.
	sluggish   = 5 * time.Second
	partitions = 3
)

// platform is a cluster, a user that may do what the worker must and no more,
// and the worker's directory.
type platform struct {
	tb     testing.TB
	kafka  *env.Kafka
	client *kgo.Client // as the administrator
	admin  *kadm.Client
	user   env.User
	dir    string
	config config.Retry
	groups []config.RetryGroup
}

func newPlatform(tb testing.TB) *platform {
	tb.Helper()
	return newPlatformOn(tb, env.SharedKafka(tb))
}

func newPlatformOn(tb testing.TB, kafka *env.Kafka) *platform {
	tb.Helper()
	p := &platform{tb: tb, kafka: kafka, dir: tb.TempDir()}
	p.client = kafka.Client(tb, kafka.Admin)
	p.admin = kadm.NewClient(p.client)
	p.user = kafka.User(tb, env.Unique("weir"))
	p.config = config.Retry{
		Name: "main",
		Kafka: config.Kafka{
			BootstrapServers: kafka.Bootstrap,
			SASL:             &config.SASL{Mechanism: config.ScramSHA512, UsernameFile: "kafka/username", PasswordFile: "kafka/password"},
		},
		ConsumerGroup: env.Unique("weir-retry"),
	}
	p.allow(kadm.NewACLs().Groups(p.config.ConsumerGroup), kadm.OpRead, kadm.OpDescribe)
	p.write("kafka/username", p.user.Name)
	p.write("kafka/password", p.user.Password+"\n")
	p.apply()
	return p
}

// group makes a consumer group with a policy: its topics, the grants, and the
// entry in the worker's file.
func (p *platform) group(delays []time.Duration, change ...func(*config.RetryGroup)) string {
	p.tb.Helper()
	g := p.declare(delays, change...)
	p.createTopics(g)
	return g.Group
}

// declare puts a group in the worker's file.
func (p *platform) declare(delays []time.Duration, change ...func(*config.RetryGroup)) config.RetryGroup {
	p.tb.Helper()
	g := config.RetryGroup{Group: env.Unique("billing"), MaxAttempts: len(delays) + 1, Waits: len(delays)}
	g.Name = "finance/" + g.Group
	for _, delay := range delays {
		g.Delays = append(g.Delays, config.Duration(delay))
	}
	for _, c := range change {
		c(&g)
	}
	p.groups = append(p.groups, g)
	p.apply()
	return g
}

func (p *platform) createTopics(g config.RetryGroup) {
	p.tb.Helper()
	topics, err := deadletter.Topics(g.Group, g.Waits)
	if err != nil {
		p.tb.Fatal(err)
	}
	created, err := p.admin.CreateTopics(p.tb.Context(), partitions, 1, nil, topics...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	for _, n := range needs([]config.RetryGroup{g}) {
		if n.read {
			p.allow(kadm.NewACLs().Topics(n.topic), kadm.OpRead)
		}
		if n.write {
			p.allow(kadm.NewACLs().Topics(n.topic), kadm.OpWrite)
		}
	}
}

// allow gives the worker's user rights on resources.
func (p *platform) allow(acls *kadm.ACLBuilder, operations ...kadm.ACLOperation) {
	p.tb.Helper()
	p.kafka.Allow(p.tb, p.user, acls, operations...)
}

// apply makes the worker's files be what config and groups say.
func (p *platform) apply() {
	p.tb.Helper()
	p.write(config.RetryFile, p.json(p.config))
	stale, err := filepath.Glob(filepath.Join(p.dir, "group-*.json"))
	if err != nil {
		p.tb.Fatal(err)
	}
	for _, g := range p.groups {
		name := config.GroupFile(g.Group)
		p.write(name, p.json(g))
		stale = slices.DeleteFunc(stale, func(path string) bool { return filepath.Base(path) == name })
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil {
			p.tb.Fatal(err)
		}
	}
}

func (p *platform) json(v any) string {
	p.tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(text)
}

// write replaces a file at once, as Kubernetes does.
func (p *platform) write(name, text string) {
	p.tb.Helper()
	path := filepath.Join(p.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		p.tb.Fatal(err)
	}
}

// start runs a worker in this process until the test ends, or stop is called.
func (p *platform) start() (w *worker, stop func()) {
	p.tb.Helper()
	w, err := newWorker(relay.Options{Dir: p.dir, Log: testLog(p.tb)})
	if err != nil {
		p.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	p.tb.Cleanup(stop)
	return w, stop
}

// active starts a worker and returns when it has joined its consumer group.
func (p *platform) active() (w *worker, stop func()) {
	p.tb.Helper()
	w, stop = p.start()
	p.awaitPhase(w, config.Active)
	return w, stop
}

// awaitGroup waits until the worker says of a group what wanted takes.
func (p *platform) awaitGroup(w *worker, group, what string, wanted func(config.GroupState) bool) config.GroupState {
	p.tb.Helper()
	name := config.GroupFile(group)
	env.Until(p.tb, what, func() bool { return wanted(w.state().Groups[name]) })
	return w.state().Groups[name]
}

func failing(state config.GroupState) bool { return state.Problem != nil }

func well(state config.GroupState) bool { return state.Digest != "" && state.Problem == nil }

func (p *platform) awaitPhase(w *worker, phase string) config.RetryState {
	p.tb.Helper()
	env.Until(p.tb, "phase "+phase, func() bool { return w.state().Phase == phase })
	return w.state()
}

// produce writes records as a service would, and returns them with their
// offsets and timestamps.
func (p *platform) produce(records ...*kgo.Record) []*kgo.Record {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.tb.Context(), patience)
	defer cancel()
	results := p.client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		p.tb.Fatal(err)
	}
	return records
}

// read returns the first n records of a topic.
func (p *platform) read(topic string, n int) []*kgo.Record {
	p.tb.Helper()
	return p.reader(topic).next(n)
}

// reader reads a topic from its beginning.
func (p *platform) reader(topic string) *reader {
	p.tb.Helper()
	return &reader{p.tb, topic, p.kafka.Client(p.tb, p.kafka.Admin, kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))}
}

type reader struct {
	tb     testing.TB
	topic  string
	client *kgo.Client
}

func (r *reader) next(n int) []*kgo.Record {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(r.tb.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := r.client.PollRecords(ctx, n-len(records))
		if err := fetches.Err0(); err != nil {
			r.tb.Fatalf("reading topic %s after %d of %d records: %v", r.topic, len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// count is the number of records that were ever written to a topic.
func (p *platform) count(topic string) (n int64) {
	p.tb.Helper()
	ends, err := p.admin.ListEndOffsets(p.tb.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// committed is where the worker's consumer group stands in a topic, all
// partitions together.
func (p *platform) committed(topic string) (n int64) {
	p.tb.Helper()
	offsets, err := p.admin.FetchOffsets(p.tb.Context(), p.config.ConsumerGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		p.tb.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic && o.At > 0 {
			n += o.At
		}
	})
	return n
}

// failAgain is what a service does with a record of its retry topic that it
// cannot process: the record as it is, and the error.
func failAgain(r *kgo.Record, group, class, message string) *kgo.Record {
	return &kgo.Record{
		Topic: deadletter.Failed(group), Key: r.Key, Value: r.Value,
		Headers: append(slices.Clone(r.Headers), failedBy(class, message)...),
	}
}

func failedBy(class, message string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: deadletter.ErrorClass, Value: []byte(class)},
		{Key: deadletter.ErrorMessage, Value: []byte(message)},
	}
}

// texts are a record's headers as text, in order.
func texts(r *kgo.Record) []string {
	all := []string{}
	for _, header := range r.Headers {
		all = append(all, header.Key+"="+string(header.Value))
	}
	return all
}

// header is the only header of that key.
func header(tb testing.TB, r *kgo.Record, key string) string {
	tb.Helper()
	var values []string
	for _, header := range r.Headers {
		if header.Key == key {
			values = append(values, string(header.Value))
		}
	}
	if len(values) != 1 {
		tb.Fatalf("header %s appears %d times in %q", key, len(values), texts(r))
	}
	return values[0]
}

func headerTime(tb testing.TB, r *kgo.Record, key string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339, header(tb, r, key))
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// numbered are n records for a group's failed topic, numbered by key.
func numbered(group string, keys, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{
			Topic: deadletter.Failed(group), Key: fmt.Appendf(nil, "key-%d", i%keys), Value: fmt.Append(nil, i/keys),
			Headers: failedBy("Timeout", "no answer"),
		}
	}
	return records
}

// valuesByKey are the values in the order of the records, by key.
func valuesByKey(records []*kgo.Record) map[string][]string {
	values := map[string][]string{}
	for _, r := range records {
		values[string(r.Key)] = append(values[string(r.Key)], string(r.Value))
	}
	return values
}

// distinct drops repeats within each key, and keeps the first of each value.
func distinct(values map[string][]string) map[string][]string {
	kept := map[string][]string{}
	for key := range maps.Keys(values) {
		for _, value := range values[key] {
			if !slices.Contains(kept[key], value) {
				kept[key] = append(kept[key], value)
			}
		}
	}
	return kept
}

// testLog shows a worker's log where the test fails.
func testLog(tb testing.TB) *slog.Logger {
	logs := &logs{}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the worker's log:\n%s", logs)
		}
	})
	return slog.New(slog.NewTextHandler(logs, nil))
}

// logs is what workers wrote.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
