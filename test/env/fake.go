package env

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// StartFake starts kfake, with Apache Kafka's defaults where the two differ. The
// caller closes it.
func StartFake() (*Kafka, error) {
	admin := User{Name: "admin", Password: rand.Text(), Mechanism: ScramSHA512}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DefaultNumPartitions(1),
		kfake.ClusterID(clusterID()),
		kfake.ListenFn(listenRefusing),
		kfake.EnableSASL(),
		kfake.EnableACLs(),
		kfake.Superuser(Plain, admin.Name, admin.Password),
		kfake.Superuser(ScramSHA256, admin.Name, admin.Password),
		kfake.Superuser(ScramSHA512, admin.Name, admin.Password),
	)
	if err != nil {
		return nil, fmt.Errorf("start kfake: %w", err)
	}
	return &Kafka{
		Bootstrap: cluster.ListenAddrs(),
		Admin:     admin,
		Fake:      cluster,
		stop:      func() error { cluster.Close(); return nil },
	}, nil
}

// listenRefusing listens for kfake, which closes the connection of a client
// whose credentials are wrong without a word, where Apache Kafka answers
// SASL_AUTHENTICATION_FAILED: its connections give that answer.
func listenRefusing(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	return refusingListener{listener}, err
}

type refusingListener struct{ net.Listener }

func (l refusingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &refusingConn{Conn: conn}, nil
}

// refusingConn follows the requests that the server reads, to know whether it
// closes the connection instead of answering a SaslAuthenticate. Until a
// client is authenticated it sends one request at a time.
type refusingConn struct {
	net.Conn

	mu     sync.Mutex
	header []byte // of the request being read: its size, key, version and correlation ID
	rest   uint32 // bytes of it that are still to come after the header
	asked  bool   // the request read last is a SaslAuthenticate without an answer
}

const requestHeader = 12

func (c *refusingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for data := p[:n]; len(data) > 0; {
		if len(c.header) == requestHeader && c.rest == 0 {
			c.header = c.header[:0]
		}
		if missing := requestHeader - len(c.header); missing > 0 {
			take := min(missing, len(data))
			c.header = append(c.header, data[:take]...)
			data = data[take:]
			if len(c.header) == requestHeader {
				c.rest = binary.BigEndian.Uint32(c.header) - (requestHeader - 4)
				c.asked = int16(binary.BigEndian.Uint16(c.header[4:])) == kmsg.SASLAuthenticate.Int16()
			}
			continue
		}
		take := min(c.rest, uint32(len(data)))
		c.rest -= take
		data = data[take:]
	}
	return n, err
}

func (c *refusingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.asked = false
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *refusingConn) Close() error {
	c.mu.Lock()
	asked := c.asked
	c.asked = false
	c.mu.Unlock()
	if asked { // the header stays as it is: nothing more is read
		_, _ = c.Conn.Write(refusal(c.header)) // the client may be gone
	}
	return c.Conn.Close()
}

// refusal is the answer to a SaslAuthenticate request with this header.
func refusal(header []byte) []byte {
	request := kmsg.NewPtrSASLAuthenticateRequest()
	request.SetVersion(int16(binary.BigEndian.Uint16(header[6:])))
	response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	response.ErrorCode = kerr.SaslAuthenticationFailed.Code
	message := "Authentication failed during authentication due to invalid credentials"
	response.ErrorMessage = &message
	frame := append(make([]byte, 4, 128), header[8:]...)
	if response.IsFlexible() {
		frame = append(frame, 0) // no tagged fields in the header
	}
	frame = response.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
