package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay/config"
	_ "github.com/weir-dev/weir/internal/relay/outbox" // so that go test knows what buildRelay depends on
	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// patience is how long a test waits for something that ought to happen.
const patience = 30 * time.Second

// outboxDDL is the table that the documentation shows.
const outboxDDL = `
	CREATE TABLE public.outbox (
		id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
		seq           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
		aggregatetype text NOT NULL,
		aggregateid   text NOT NULL,
		type          text NOT NULL,
		payload       jsonb,
		headers       jsonb,
		created_at    timestamptz NOT NULL DEFAULT now()
	)`

// pipeline is an outbox table, a topic, a role and a user that may do what the
// relay must and no more, and the relay's directory.
type pipeline struct {
	t      *testing.T
	kafka  *env.Kafka
	admin  *kadm.Client
	db     *pgx.Conn // as the superuser
	dbURI  string
	role   string
	user   env.User
	topic  string
	dir    string
	config config.Outbox
}

// newPipeline makes a pipeline with outboxDDL; change adapts its configuration.
func newPipeline(t *testing.T, change ...func(*config.Outbox)) *pipeline {
	t.Helper()
	p := &pipeline{t: t, kafka: env.SharedKafka(t), dir: t.TempDir(), topic: env.Unique("orders")}
	p.admin = kadm.NewClient(p.kafka.Client(t, p.kafka.Admin))
	p.user = p.kafka.User(t, env.Unique("relay"))
	p.createTopic(p.topic, nil)

	p.dbURI = env.SharedPostgres(t).Database(t)
	db, err := pgx.Connect(t.Context(), p.dbURI)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	p.db = db
	p.role = env.Unique("relay")
	p.exec(outboxDDL)
	p.exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'secret'", quote(p.role)))
	p.exec("GRANT SELECT, DELETE ON public.outbox TO " + quote(p.role))
	t.Cleanup(func() {
		db.Exec(context.Background(), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", quote(p.role)))
	})

	p.config = config.Outbox{
		Name: "shop/" + p.topic,
		Kafka: config.Kafka{
			BootstrapServers: p.kafka.Bootstrap,
			SASL:             &config.SASL{Mechanism: config.ScramSHA512, UsernameFile: "kafka/username", PasswordFile: "kafka/password"},
		},
		Database: config.Database{Engine: "Postgres", URIFile: "database/uri"},
		Table:    "public.outbox",
		Columns: config.Columns{
			ID: "id", AggregateType: "aggregatetype", AggregateID: "aggregateid", Type: "type", Payload: "payload",
			Sequence: "seq", CreatedAt: "created_at", Headers: "headers",
		},
		Polling:      config.Polling{MaxInterval: config.Duration(50 * time.Millisecond), BatchSize: 100},
		AfterPublish: config.Delete,
		OnPoison:     config.Block,
		Routes:       []config.Route{{AggregateType: "order", Topic: p.topic}},
	}
	for _, c := range change {
		c(&p.config)
	}
	p.write("kafka/username", p.user.Name+"\n")
	p.write("kafka/password", p.user.Password+"\n")
	p.write("database/uri", env.SharedPostgres(t).UserURI(p.role, "secret", db.Config().Database))
	p.writeConfig()
	return p
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// createTopic makes a topic that the relay's user may write.
func (p *pipeline) createTopic(name string, configs map[string]*string) {
	p.t.Helper()
	if _, err := p.admin.CreateTopic(p.t.Context(), 3, 1, configs, name); err != nil {
		p.t.Fatal(err)
	}
	p.grant(name, kadm.OpWrite, kadm.OpDescribe)
}

func (p *pipeline) grant(topic string, operations ...kadm.ACLOperation) {
	p.t.Helper()
	p.kafka.Allow(p.t, p.user, kadm.NewACLs().Topics(topic), operations...)
}

func (p *pipeline) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) writeConfig() {
	p.t.Helper()
	text, err := json.Marshal(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(config.OutboxFile, string(text))
}

func (p *pipeline) exec(sql string, args ...any) {
	p.t.Helper()
	if _, err := p.db.Exec(p.t.Context(), sql, args...); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

// insert adds n orders of one key in one transaction, numbered from first.
func (p *pipeline) insert(key string, first, n int) {
	p.t.Helper()
	p.insertPadded(key, first, n, 0)
}

// insertPadded is insert with so many bytes more in each payload.
func (p *pipeline) insertPadded(key string, first, n, padding int) {
	p.t.Helper()
	p.exec(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
		SELECT 'order', $1, 'OrderPlaced', jsonb_build_object('n', n, 'padding', repeat('x', $4)) FROM generate_series($2::int, $3::int) n ORDER BY n`,
		key, first, first+n-1, padding)
}

// pending counts the rows that match a condition.
func (p *pipeline) pending(where string) (n int) {
	p.t.Helper()
	if err := p.db.QueryRow(p.t.Context(), "SELECT count(*) FROM outbox WHERE "+where).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// records returns all records of a topic: what is there up to the end offsets of now.
func (p *pipeline) records(topic string) []*kgo.Record {
	p.t.Helper()
	ends, err := p.admin.ListEndOffsets(p.t.Context(), topic)
	if err != nil {
		p.t.Fatal(err)
	}
	var want int64
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	consumer := p.kafka.Client(p.t, p.kafka.Admin, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			p.t.Fatalf("reading topic %s after %d of %d records: %v", topic, len(records), want, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// numbersByKey returns the payloads' n in the order of the topic, by key.
func numbersByKey(t *testing.T, records []*kgo.Record) map[string][]int {
	t.Helper()
	numbers := map[string][]int{}
	for _, r := range records {
		var payload struct{ N int }
		if err := json.Unmarshal(r.Value, &payload); err != nil {
			t.Fatalf("value %q: %v", r.Value, err)
		}
		numbers[string(r.Key)] = append(numbers[string(r.Key)], payload.N)
	}
	return numbers
}

// binary is cmd/relay, built once per test binary, with the race detector if the
// test has it.
type binary struct{ dir string }

var sharedBinary env.Shared[*binary]

func buildRelay(ctx context.Context) (*binary, error) {
	dir, err := os.MkdirTemp("", "weir-relay-")
	if err != nil {
		return nil, err
	}
	b := &binary{dir}
	args := []string{"build", "-buildvcs=false", "-o", b.path()}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "github.com/weir-dev/weir/cmd/relay")...).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("building cmd/relay: %w\n%s", err, out), b.Close())
	}
	return b, nil
}

func (b *binary) path() string { return filepath.Join(b.dir, "relay") }

// Close removes the binary.
func (b *binary) Close() error { return os.RemoveAll(b.dir) }

// process is a running worker.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	done chan struct{} // closed when the process has ended
	logs *logs
}

type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line + "\n")
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the real worker and returns when it listens.
func (p *pipeline) start() *process {
	p.t.Helper()
	cmd := exec.Command(sharedBinary.Get(p.t, buildRelay).path(), "outbox", "--dir="+p.dir, "--listen=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	r := &process{t: p.t, cmd: cmd, done: make(chan struct{}), logs: &logs{}}
	listening := make(chan string, 1)
	go func() {
		defer close(r.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			r.logs.add(lines.Text())
			var entry struct{ Msg, Listen string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "started" {
				listening <- entry.Listen
			}
		}
		cmd.Wait() // the exit code is in cmd.ProcessState
	}()
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		<-r.done
		if p.t.Failed() {
			p.t.Logf("relay %d:\n%s", cmd.Process.Pid, r.logs)
		}
		if strings.Contains(r.logs.String(), "DATA RACE") {
			p.t.Errorf("the relay has a data race:\n%s", r.logs)
		}
	})
	select {
	case r.addr = <-listening:
	case <-r.done:
		p.t.Fatalf("the relay ended at once:\n%s", r.logs)
	case <-time.After(patience):
		p.t.Fatal("the relay does not listen")
	}
	return r
}

// signal sends a signal to the process.
func (r *process) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// stop ends the process gracefully and checks that it says so by exit code 0.
func (r *process) stop() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("the relay does not stop:\n%s", r.logs)
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("exit code %d after SIGTERM:\n%s", code, r.logs)
	}
}

// kill ends the process as a crash would.
func (r *process) kill() {
	r.t.Helper()
	r.signal(syscall.SIGKILL)
	<-r.done
}

func (r *process) get(path string) (int, string) {
	r.t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatalf("GET %s: %v\n%s", path, err, r.logs)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (r *process) state() config.OutboxState {
	r.t.Helper()
	_, body := r.get(config.StatePath)
	var state config.OutboxState
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		r.t.Fatalf("state %q: %v", body, err)
	}
	return state
}

func (r *process) ready() bool {
	r.t.Helper()
	code, _ := r.get("/readyz")
	return code == http.StatusOK
}

// awaitPhase returns the state once the worker is in a phase.
func (r *process) awaitPhase(phase string) config.OutboxState {
	r.t.Helper()
	var state config.OutboxState
	env.Until(r.t, "phase "+phase, func() bool {
		state = r.state()
		return state.Phase == phase
	})
	return state
}
