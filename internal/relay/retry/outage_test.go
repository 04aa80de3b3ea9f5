package retry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/test/env"
)

// newGatedPlatform is a platform that reaches its brokers through a gate.
func newGatedPlatform(t *testing.T) (*platform, *env.Gate) {
	t.Helper()
	gated, gate := env.SharedGate(t)
	return newPlatformOn(t, gated), gate
}

// TestBrokerOutage checks that the worker says that the brokers are away, and
// goes on by itself: records that waited arrive, in order and none lost.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	p, gate := newGatedPlatform(t)
	group := p.group([]time.Duration{time.Second})
	w, stop := p.active()
	produced := p.produce(numbered(group, 10, 1_000)...)
	gate.Cut()
	state := p.awaitPhase(w, config.Failing)
	if state.Problem.Reason != kafkasink.KafkaUnreachable || !strings.Contains(state.Problem.Message, p.kafka.Bootstrap[0]) {
		t.Errorf("problem: %+v", state.Problem)
	}
	gate.Reopen(t)
	p.awaitPhase(w, config.Active)
	if diff := cmp.Diff(valuesByKey(produced), distinct(valuesByKey(p.settled(group, len(produced))))); diff != "" {
		t.Errorf("values by key (-want +got):\n%s", diff)
	}

	gate.Cut()
	p.awaitPhase(w, config.Failing)
	start := time.Now()
	stop()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("stopping without brokers took %s", took)
	}
	gate.Reopen(t)
}

// TestKill kills the worker's process again and again under load: nothing is
// lost, and each key stays in order but for repeats.
func TestKill(t *testing.T) {
	t.Parallel()
	binary := buildRelay(t)
	p := newPlatform(t)
	group := p.group([]time.Duration{200 * time.Millisecond})
	const keys, n, kills = 10, 2_000, 2
	records := numbered(group, keys, n*(kills+1))
	for i := range kills {
		process := p.startProcess(binary)
		p.produce(records[i*n : (i+1)*n]...)
		moved := p.count(deadletter.Retry(group))
		env.Until(t, "some records to move", func() bool { return p.count(deadletter.Retry(group)) > moved })
		if err := process.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	p.startProcess(binary)
	p.produce(records[kills*n:]...)
	got := p.settled(group, len(records))
	if diff := cmp.Diff(valuesByKey(records), distinct(valuesByKey(got))); diff != "" {
		t.Errorf("values by key (-want +got):\n%s", diff)
	}
	t.Logf("%d records came back, %d were produced", len(got), len(records))
}

// settled returns all records of a group's retry topic, at least n, once the
// worker has nothing left to do.
func (p *platform) settled(group string, n int) []*kgo.Record {
	p.tb.Helper()
	env.Until(p.tb, "all records to come back", func() bool { return p.count(deadletter.Retry(group)) >= int64(n) })
	for _, topic := range []string{deadletter.Failed(group), deadletter.Wait(group, 1)} {
		env.Until(p.tb, "all to be committed", func() bool { return p.committed(topic) == p.count(topic) })
	}
	return p.read(deadletter.Retry(group), int(p.count(deadletter.Retry(group))))
}

// TestProcess checks what the process serves, and that SIGTERM ends it well.
func TestProcess(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{10 * time.Millisecond})
	process := p.startProcess(buildRelay(t))
	p.produce(numbered(group, 1, 3)...)
	p.read(deadletter.Retry(group), 3)
	want := config.RetryState{
		Name: "main", Phase: config.Active,
		Groups: map[string]config.GroupState{config.GroupFile(group): {Group: group, Digest: config.Digest(p.json(p.groups[0]))}},
		Moved:  map[string]int64{toWait: 3, toRetry: 3, toDLT: 0},
	}
	env.Until(t, "the state to show it", func() bool {
		var state config.RetryState
		if err := json.Unmarshal([]byte(process.get(t, config.StatePath, http.StatusOK)), &state); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, state)
	})
	process.get(t, "/readyz", http.StatusOK)
	metrics := process.get(t, "/metrics", http.StatusOK)
	for _, line := range []string{
		fmt.Sprintf(`weir_retry_moved_records_total{group=%q,to="wait"} 3`, group),
		fmt.Sprintf(`weir_retry_moved_records_total{group=%q,to="retry"} 3`, group),
		"weir_retry_lateness_seconds_count 3",
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if err := process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-process.done:
	case <-time.After(patience):
		t.Fatal("the relay does not stop")
	}
	if code := process.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// process is a running `relay retry`.
type process struct {
	cmd  *exec.Cmd
	addr string
	done chan struct{} // closed when it has ended
}

// get returns the body of an answer with that status.
func (p *process) get(t *testing.T, path string, status int) string {
	t.Helper()
	client := http.Client{Timeout: patience}
	response, err := client.Get("http://" + p.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("GET %s: %s\n%s", path, response.Status, body)
	}
	return string(body)
}

// buildRelay builds cmd/relay.
func buildRelay(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "relay")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/weir-dev/weir/cmd/relay").CombinedOutput()
	if err != nil {
		t.Fatalf("building cmd/relay: %v\n%s", err, out)
	}
	return binary
}

// startProcess runs `relay retry` and returns when it listens.
func (p *platform) startProcess(binary string) *process {
	p.tb.Helper()
	cmd := exec.Command(binary, "retry", "--dir="+p.dir, "--listen=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	started := &process{cmd: cmd, done: make(chan struct{})}
	log, listening := &logs{}, make(chan string, 1)
	go func() {
		defer close(started.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			var entry struct{ Msg, Listen string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "started" {
				listening <- entry.Listen
			}
		}
		_ = cmd.Wait() // the exit code is in cmd.ProcessState
	}()
	p.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-started.done
		if p.tb.Failed() {
			p.tb.Logf("relay %d:\n%s", cmd.Process.Pid, log)
		}
	})
	select {
	case started.addr = <-listening:
	case <-started.done:
		p.tb.Fatal("the relay ended at once")
	case <-time.After(patience):
		p.tb.Fatal("the relay does not listen")
	}
	return started
}
