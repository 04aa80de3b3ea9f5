package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

const dialTimeout = 5 * time.Second

// ConnectOptions returns the options with which a worker's Kafka client
// reaches its cluster. Files in dir are read at each connection and each
// authentication, so that rotated certificates and passwords take effect
// without a restart.
func ConnectOptions(dir string, k config.Kafka, clientID string) ([]kgo.Opt, error) {
	connection := kafka.Config{BootstrapServers: k.BootstrapServers, ClientID: clientID}
	if k.SASL != nil {
		connection.SASL = &kafka.SASL{
			Mechanism: k.SASL.Mechanism,
			Credentials: func(context.Context) (username, password string, err error) {
				return credentials(dir, *k.SASL)
			},
		}
	}
	opts, err := connection.Options()
	if err != nil {
		return nil, err
	}
	if k.TLS != nil {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
			config, err := tlsConfig(dir, *k.TLS)
			if err != nil {
				return nil, err
			}
			dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: config}
			return dialer.DialContext(ctx, network, host)
		}))
	}
	return opts, nil
}

func credentials(dir string, s config.SASL) (username, password string, err error) {
	if username, err = secret(dir, s.UsernameFile); err == nil {
		password, err = secret(dir, s.PasswordFile)
	}
	if err != nil {
		return "", "", &kafka.Error{
			Class: kafka.Rejected, Reason: kafka.Unauthorized,
			Message: "reading the Kafka credentials: " + err.Error(), Err: err,
		}
	}
	return username, password, nil
}

func secret(dir, file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return kafka.SecretText(text), err
}

func tlsConfig(dir string, t config.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(filepath.Join(dir, t.CAFile))
		if err != nil {
			return nil, fmt.Errorf("reading the certificate authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := clientCertificate(dir, t)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// clientCertificate reads the client's certificate and key. Nothing of what a
// parser says of them is passed on: it has seen the key.
func clientCertificate(dir string, t config.TLS) (tls.Certificate, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, t.CertFile))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the client certificate: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, t.KeyFile))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the key of the client certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s hold no PEM certificate and the key that fits it", t.CertFile, t.KeyFile)
	}
	return pair, nil
}
