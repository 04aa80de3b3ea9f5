package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/internal/kafka"
)

var update = flag.Bool("update", false, "write docs/faults.md anew")

// faultsPage is where the table is shown.
const faultsPage = "../../docs/faults.md"

// seamCalls are the calls of the seam and the request that each depends on. Each
// is made on a topic of its own, which exists where it says so.
var seamCalls = []struct {
	name   string
	key    kmsg.Key
	exists bool
	call   func(ctx context.Context, c *kafka.Cluster, topic string) error
	// done says whether what was asked for is so.
	done func(ctx context.Context, c *kafka.Cluster, topic string) bool
}{
	{
		name: "observe a topic", key: kmsg.Metadata, exists: true,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			_, err := c.ObserveTopic(ctx, topic)
			return err
		},
	},
	{
		name: "observe its config", key: kmsg.DescribeConfigs, exists: true,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			_, err := c.ObserveTopic(ctx, topic)
			return err
		},
	},
	{
		name: "create a topic", key: kmsg.CreateTopics,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			_, err := c.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Partitions: 2})
			return err
		},
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.ObserveTopic(ctx, topic)
			return err == nil && have.Partitions == 2
		},
	},
	{
		name: "add partitions", key: kmsg.CreatePartitions, exists: true,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			_, err := c.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Partitions: 3})
			return err
		},
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.ObserveTopic(ctx, topic)
			return err == nil && have.Partitions == 3
		},
	},
	{
		name: "change config", key: kmsg.IncrementalAlterConfigs, exists: true,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			_, err := c.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Config: map[string]string{"retention.ms": "3600000"}})
			return err
		},
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.ObserveTopic(ctx, topic)
			return err == nil && have.Config["retention.ms"] == "3600000"
		},
	},
	{
		name: "delete a topic", key: kmsg.DeleteTopics, exists: true,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error { return c.DeleteTopic(ctx, topic, "") },
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.ObserveTopic(ctx, topic)
			return err == nil && !have.Exists
		},
	},
	{
		name: "list ACL bindings", key: kmsg.DescribeACLs,
		call: func(ctx context.Context, c *kafka.Cluster, _ string) error {
			_, err := c.Bindings(ctx)
			return err
		},
	},
	{
		name: "add ACL bindings", key: kmsg.CreateACLs,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			return errors.Join(c.CreateBindings(ctx, kafka.Consume("User:billing", topic))...)
		},
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.Bindings(ctx)
			_, there := have[kafka.Consume("User:billing", topic)[0]]
			return err == nil && there
		},
	},
	{
		name: "remove ACL bindings", key: kmsg.DeleteACLs,
		call: func(ctx context.Context, c *kafka.Cluster, topic string) error {
			return errors.Join(c.DeleteBindings(ctx, kafka.Consume("User:billing", topic))...)
		},
		done: func(ctx context.Context, c *kafka.Cluster, topic string) bool {
			have, err := c.Bindings(ctx)
			_, there := have[kafka.Consume("User:billing", topic)[0]]
			return err == nil && !there
		},
	},
}

// codes are the answers that a broker may give instead.
var codes = []struct {
	name string
	err  *kerr.Error
}{
	{"NOT_CONTROLLER", kerr.NotController},
	{"THROTTLING_QUOTA_EXCEEDED", kerr.ThrottlingQuotaExceeded},
	{"REQUEST_TIMED_OUT", kerr.RequestTimedOut},
	{"CLUSTER_AUTHORIZATION_FAILED", kerr.ClusterAuthorizationFailed},
	{"SECURITY_DISABLED", kerr.SecurityDisabled},
	{"UNSUPPORTED_VERSION", kerr.UnsupportedVersion},
}

// TestFaults puts every request of the seam through every fault: what the pass
// says of it, and that the next one after it ends well, whether or not the
// broker had acted. The table is docs/faults.md.
func TestFaults(t *testing.T) {
	t.Parallel()
	header := []string{"request", "cut before it", "cut after the broker acted"}
	for _, code := range codes {
		header = append(header, "`"+code.name+"`")
	}
	rows := make([][]string, len(seamCalls))
	var calls sync.WaitGroup
	for i, call := range seamCalls {
		rows[i] = make([]string, len(header))
		rows[i][0] = call.name + " (" + call.key.Name() + ")"
		for column := 1; column < len(header); column++ {
			calls.Go(func() { rows[i][column] = faultCell(t, i, column) })
		}
	}
	calls.Wait()
	if t.Failed() {
		return
	}
	compareFaults(t, header, rows)
}

// faultCell makes one call under one fault, and the same call after it.
func faultCell(t *testing.T, row, column int) string {
	call := seamCalls[row]
	own := startFake(t)
	breaker := &breaker{key: int16(call.key)}
	admin := connectAs(t, config(own, own.Admin))
	cluster, err := kafka.ConnectWith(config(own, own.Admin), kgo.Dialer(breaker.dial))
	if err != nil {
		t.Error(err)
		return ""
	}
	t.Cleanup(cluster.Close)
	ctx := t.Context()
	topic := "shop.orders"
	if call.exists {
		if _, err := admin.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Partitions: 1}); err != nil {
			t.Error(err)
		}
	}
	if call.key == kmsg.DeleteACLs {
		if err := errors.Join(admin.CreateBindings(ctx, kafka.Consume("User:billing", topic))...); err != nil {
			t.Error(err)
		}
	}
	// So that the fault meets the request, and not the way to it.
	if _, err := cluster.Describe(ctx); err != nil {
		t.Error(err)
	}
	var over func()
	switch column {
	case 1:
		breaker.arm(before)
		over = breaker.disarm
	case 2:
		breaker.arm(after)
		over = breaker.disarm
	default:
		over = own.Fake.Fault(
			kfake.Fault{Keys: []kmsg.Key{call.key}, Err: codes[column-3].err, Count: -1},
			kfake.Fault{Keys: []kmsg.Key{call.key}, Err: codes[column-3].err, Count: -1, TopLevel: true},
		).Remove
	}
	err = call.call(ctx, cluster, topic)
	over()
	cell := "done"
	if is := kafka.Classify(err); is != nil {
		cell = fmt.Sprintf("%s, `%s`", strings.ToLower(is.Class.String()), is.Reason)
	}
	if err := call.call(ctx, cluster, topic); err != nil {
		t.Errorf("%s, %d: after the fault: %v", call.name, column, err)
	}
	if call.done != nil && !call.done(ctx, admin, topic) {
		t.Errorf("%s, %d: after the fault it is not done", call.name, column)
	}
	return cell
}

func compareFaults(t *testing.T, header []string, rows [][]string) {
	t.Helper()
	var table strings.Builder
	line := func(cells []string) { fmt.Fprintf(&table, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	line(strings.Split(strings.Repeat("---,", len(header)-1)+"---", ","))
	for _, row := range rows {
		line(row)
	}
	page, err := os.ReadFile(faultsPage)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- the table: begin -->\n", "<!-- the table: end -->\n"
	head, rest, ok := bytes.Cut(page, []byte(begin))
	had, tail, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", faultsPage)
	}
	if *update {
		text := string(head) + begin + table.String() + end + string(tail)
		if err := os.WriteFile(faultsPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(had), table.String()); diff != "" {
		t.Errorf("docs/faults.md (-have +got); if that is right: go test ./internal/kafka -run TestFaults -update\n%s", diff)
	}
}

// breaker cuts connections at requests of one key.
type breaker struct {
	key  int16
	when atomic.Int32
}

const (
	never  = iota
	before // the request does not reach the broker
	after  // the broker has acted, and its answer is lost
)

func (b *breaker) arm(when int32) { b.when.Store(when) }
func (b *breaker) disarm()        { b.when.Store(never) }

func (b *breaker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
	return &breakable{Conn: conn, breaker: b}, err
}

type breakable struct {
	net.Conn
	breaker *breaker
	cut     atomic.Bool // at the next read
}

// Write sees each request whole: its key stands behind its length.
func (c *breakable) Write(request []byte) (int, error) {
	if len(request) > 6 && int16(binary.BigEndian.Uint16(request[4:])) == c.breaker.key {
		switch c.breaker.when.Load() {
		case before:
			_ = c.Close()
			return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
		case after:
			c.cut.Store(true)
		}
	}
	return c.Conn.Write(request)
}

// Read loses the answer that the broker gives once it has acted.
func (c *breakable) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if c.cut.Load() {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}
