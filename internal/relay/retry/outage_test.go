package retry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/test/env"
)

// outage makes a cluster of the test's own whose requests can be cut off.
func outage(t *testing.T) (kafka *env.Kafka, cut *atomic.Bool) {
	t.Helper()
	kafka, err := env.StartKafka(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kafka.Close(); err != nil {
			t.Error(err)
		}
	})
	if kafka.Fake == nil {
		t.Skip("only a broker in process can be cut off")
	}
	cut = new(atomic.Bool)
	kafka.Fake.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		kafka.Fake.KeepControl()
		return nil, errors.New("cut off"), cut.Load()
	})
	return kafka, cut
}

// TestBrokerOutage checks that the worker says that the brokers are away, and
// goes on by itself: records that waited arrive, in order and none lost.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	kafka, cut := outage(t)
	p := newPlatformOn(t, kafka)
	group := p.group([]time.Duration{time.Second})
	w, stop := p.active()
	produced := p.produce(numbered(group, 10, 1_000)...)
	cut.Store(true)
	state := p.awaitPhase(w, config.Failing)
	if state.Problem.Reason != kafkasink.KafkaUnreachable || !strings.Contains(state.Problem.Message, kafka.Bootstrap[0]) {
		t.Errorf("problem: %+v", state.Problem)
	}
	cut.Store(false)
	p.awaitPhase(w, config.Active)
	if diff := cmp.Diff(valuesByKey(produced), distinct(valuesByKey(p.settled(group, len(produced))))); diff != "" {
		t.Errorf("values by key (-want +got):\n%s", diff)
	}

	cut.Store(true)
	p.awaitPhase(w, config.Failing)
	start := time.Now()
	stop()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("stopping without brokers took %s", took)
	}
	cut.Store(false)
}

// TestKill kills the worker's process again and again under load: nothing is
// lost, and each key stays in order but for repeats.
func TestKill(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	group := p.group([]time.Duration{200 * time.Millisecond})
	const keys, n, kills = 10, 2_000, 2
	records := numbered(group, keys, n*(kills+1))
	for i := range kills {
		process := p.startProcess()
		p.produce(records[i*n : (i+1)*n]...)
		moved := p.count(deadletter.Retry(group))
		await(t, "some records to move", func() bool { return p.count(deadletter.Retry(group)) > moved })
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	p.startProcess()
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
	await(p.tb, "all records to come back", func() bool { return p.count(deadletter.Retry(group)) >= int64(n) })
	for _, topic := range []string{deadletter.Failed(group), deadletter.Wait(group, 1)} {
		await(p.tb, "all to be committed", func() bool { return p.committed(topic) == p.count(topic) })
	}
	return p.read(deadletter.Retry(group), int(p.count(deadletter.Retry(group))))
}

// relayBinary builds cmd/relay once per test binary.
var relayBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-relay-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "relay")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/weir-dev/weir/cmd/relay").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building cmd/relay: %w\n%s", err, out)
	}
	return binary, nil
})

// startProcess runs `relay retry` and returns when it listens.
func (p *platform) startProcess() *exec.Cmd {
	p.tb.Helper()
	binary, err := relayBinary()
	if err != nil {
		p.tb.Fatal(err)
	}
	cmd := exec.Command(binary, "retry", "--dir="+p.dir, "--listen=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	log := &logs{}
	listening, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			var entry struct{ Msg string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "started" {
				close(listening)
			}
		}
		_ = cmd.Wait() // it is killed
	}()
	p.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-done
		if p.tb.Failed() {
			p.tb.Logf("relay %d:\n%s", cmd.Process.Pid, log)
		}
	})
	select {
	case <-listening:
	case <-done:
		p.tb.Fatal("the relay ended at once")
	case <-time.After(patience):
		p.tb.Fatal("the relay does not listen")
	}
	return cmd
}
