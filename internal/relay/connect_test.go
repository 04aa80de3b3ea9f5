package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay/config"
)

// selfSigned returns a certificate for the loopback address, and its PEM.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestConnectOptionsReadFilesAnew checks that a CA and a password that appear
// or change are used at the next connection of a client that exists already.
func TestConnectOptionsReadFilesAnew(t *testing.T) {
	t.Parallel()
	certificate, ca := selfSigned(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "relay", "secret"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()

	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts, err := ConnectOptions(dir, config.Kafka{
		BootstrapServers: cluster.ListenAddrs(),
		TLS:              &config.TLS{CAFile: "ca.crt"},
		SASL:             &config.SASL{Mechanism: config.Plain, UsernameFile: "username", PasswordFile: "password"},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ping := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := client.Ping(ctx); err != nil {
			return err.Error()
		}
		return ""
	}
	expect := func(step, part string) {
		t.Helper()
		if got := ping(); !strings.Contains(got, part) || (part == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", step, got, part)
		}
	}
	expect("without a CA file", "reading the certificate authority: open ")
	write("ca.crt", "no certificate")
	expect("with a wrong CA file", "ca.crt holds no PEM certificate")
	write("ca.crt", ca)
	expect("without a password", "reading the Kafka credentials: open ")
	write("username", "relay\n")
	write("password", "secret\n")
	expect("with all that it needs", "")
}
