package env

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-dev/weir/test/env/internal/store"
)

// Gate stands between clients and a Kafka cluster, so that a test or the demo
// can take the cluster away from them and give it back. It forwards plaintext
// connections and rewrites the brokers' addresses in answers, so that clients
// stay behind it:
//
//	client ──▶ 127.0.0.1:gate ──▶ broker
//	       ◀── Metadata, FindCoordinator, DescribeCluster with the gate's addresses
//
// It does not look for the new leaders that answers to Produce and Fetch may
// name when leadership has moved; on one broker it never does.
type Gate struct {
	// Bootstrap are the gate's addresses of the brokers it was made for.
	Bootstrap []string

	mu     sync.Mutex
	open   bool
	doors  map[string]*door // by the broker's address
	conns  map[net.Conn]struct{}
	served sync.WaitGroup
}

// door is the gate's address of one broker.
type door struct {
	port     int
	release  func()
	listener net.Listener // nil while the gate is closed
}

// NewGate opens a gate to the brokers at these addresses. The caller closes it.
func NewGate(brokers ...string) (*Gate, error) {
	g := &Gate{open: true, doors: map[string]*door{}, conns: map[net.Conn]struct{}{}}
	for _, broker := range brokers {
		port, err := g.door(broker)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.Bootstrap = append(g.Bootstrap, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return g, nil
}

// Gated is the same cluster behind a gate of its own, which the caller closes.
func (k *Kafka) Gated() (*Kafka, *Gate, error) {
	gate, err := NewGate(k.Bootstrap...)
	if err != nil {
		return nil, nil, err
	}
	gated := *k
	gated.Bootstrap = gate.Bootstrap
	return &gated, gate, nil
}

// SharedGate is the shared cluster behind a gate of this test's own.
func SharedGate(tb testing.TB) (*Kafka, *Gate) {
	tb.Helper()
	gated, gate, err := SharedKafka(tb).Gated()
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	tb.Cleanup(func() {
		if err := gate.Close(); err != nil {
			tb.Errorf("env: %v", err)
		}
	})
	return gated, gate
}

// Cut is an outage: it breaks all connections and refuses new ones.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	for _, d := range g.doors {
		if d.listener != nil {
			_ = d.listener.Close() // nothing to do about an error
			d.listener = nil
		}
	}
	for conn := range g.conns {
		_ = conn.Close()
	}
}

// Restore ends the outage: the same addresses take connections again.
func (g *Gate) Restore() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	for broker, d := range g.doors {
		if err := g.listen(broker, d); err != nil {
			return err
		}
	}
	return nil
}

// Reopen is Restore, and fails the test where that fails.
func (g *Gate) Reopen(tb testing.TB) {
	tb.Helper()
	if err := g.Restore(); err != nil {
		tb.Fatalf("env: %v", err)
	}
}

// Close cuts all connections for good.
func (g *Gate) Close() error {
	g.Cut()
	g.served.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.doors {
		d.release()
	}
	clear(g.doors)
	return nil
}

// door is the port that leads to a broker.
func (g *Gate) door(broker string) (port int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.doors[broker]; ok {
		return d.port, nil
	}
	port, release, err := store.Port()
	if err != nil {
		return 0, err
	}
	d := &door{port: port, release: release}
	g.doors[broker] = d
	return port, g.listen(broker, d)
}

// listen opens a door unless the gate is cut. The caller holds the lock.
func (g *Gate) listen(broker string, d *door) error {
	if !g.open || d.listener != nil {
		return nil
	}
	listener, err := store.Listen(d.port)
	if err != nil {
		return fmt.Errorf("open the gate to %s: %w", broker, err)
	}
	d.listener = listener
	g.served.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			g.served.Go(func() { g.serve(client, broker) })
		}
	})
	return nil
}

// track makes Cut close conn; it says no where the gate is cut already.
func (g *Gate) track(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		g.conns[conn] = struct{}{}
	}
	return g.open
}

func (g *Gate) forget(conn net.Conn) {
	_ = conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
}

// serve forwards one connection until either side closes it.
func (g *Gate) serve(client net.Conn, address string) {
	defer g.forget(client)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	broker, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer g.forget(broker)
	if !g.track(client) || !g.track(broker) {
		return
	}
	c := &conversation{gate: g, asked: map[int32]kmsg.Response{}}
	var both sync.WaitGroup
	both.Go(func() { c.forwardRequests(broker, client); _ = broker.Close() })
	both.Go(func() { c.forwardResponses(client, broker); _ = client.Close() })
	both.Wait()
}

// conversation is one connection's requests whose answers hold addresses.
type conversation struct {
	gate *Gate

	mu    sync.Mutex
	asked map[int32]kmsg.Response // by correlation ID, empty and of the request's version
}

// rewritten are the requests whose answers name brokers.
var rewritten = []kmsg.Key{kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster}

// forwardRequests copies requests until an error, which closes the connection.
func (c *conversation) forwardRequests(broker io.Writer, client io.Reader) {
	reader := bufio.NewReader(client)
	for {
		head, err := reader.Peek(12) // size, key, version, correlation ID
		if err != nil && len(head) < 4 {
			return
		}
		size := int64(binary.BigEndian.Uint32(head))
		if len(head) == 12 && size >= 8 {
			key := kmsg.Key(binary.BigEndian.Uint16(head[4:]))
			if slices.Contains(rewritten, key) {
				request := kmsg.RequestForKey(key.Int16())
				request.SetVersion(int16(binary.BigEndian.Uint16(head[6:])))
				c.mu.Lock()
				c.asked[int32(binary.BigEndian.Uint32(head[8:]))] = request.ResponseKind()
				c.mu.Unlock()
			}
		}
		if _, err := io.CopyN(broker, reader, 4+size); err != nil {
			return
		}
	}
}

// forwardResponses copies answers until an error, which closes the connection.
func (c *conversation) forwardResponses(client io.Writer, broker io.Reader) {
	reader := bufio.NewReader(broker)
	for {
		head, err := reader.Peek(8) // size, correlation ID
		if err != nil && len(head) < 4 {
			return
		}
		size := int64(binary.BigEndian.Uint32(head))
		response := c.answered(head)
		if response == nil {
			if _, err := io.CopyN(client, reader, 4+size); err != nil {
				return
			}
			continue
		}
		frame := make([]byte, 4+size)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return
		}
		if frame, err = c.gate.rewrite(frame, response); err != nil {
			return
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

// answered is what the frame with this head answers, if it is to be rewritten.
func (c *conversation) answered(head []byte) kmsg.Response {
	if len(head) < 8 {
		return nil
	}
	correlation := int32(binary.BigEndian.Uint32(head[4:]))
	c.mu.Lock()
	defer c.mu.Unlock()
	response := c.asked[correlation]
	delete(c.asked, correlation)
	return response
}

// rewrite is the frame with the gate's addresses for the brokers'.
func (g *Gate) rewrite(frame []byte, response kmsg.Response) ([]byte, error) {
	body := kbin.Reader{Src: frame[8:]}
	if response.IsFlexible() {
		kmsg.SkipTags(&body)
	}
	header := frame[:len(frame)-len(body.Src)]
	if err := response.ReadFrom(body.Src); err != nil {
		return nil, fmt.Errorf("read %s: %w", kmsg.NameForKey(response.Key()), err)
	}
	var err error
	replace := func(host *string, port *int32) {
		if *port <= 0 { // not known
			return
		}
		gatePort, doorErr := g.door(net.JoinHostPort(*host, strconv.Itoa(int(*port))))
		err = errors.Join(err, doorErr)
		*host, *port = "127.0.0.1", int32(gatePort)
	}
	switch r := response.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			replace(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		replace(&r.Host, &r.Port)
		for i := range r.Coordinators {
			replace(&r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			replace(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	}
	out := response.AppendTo(slices.Clone(header))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, err
}
