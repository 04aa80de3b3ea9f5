package pool

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// config builds the connection of a KafkaCluster from its spec and Secrets;
// material is what of the Secrets went into it.
func (c *Clusters) config(ctx context.Context, resource *v1alpha1.KafkaCluster) (config kafka.Config, material string, err error) {
	roots, err := c.root.Load(ctx)
	if err != nil {
		return config, "", err
	}
	config = kafka.Config{
		BootstrapServers: resource.Spec.BootstrapServers, ClientID: "weir",
		// The first cluster that answered is the one, until spec.clusterId names
		// another.
		ClusterID: cmp.Or(resource.Spec.ClusterID, roots.IDs[resource.Name], resource.Annotations[v1alpha1.RecordAnnotation]),
	}
	if sasl := resource.Spec.SASL; sasl != nil {
		// Read once now for an error that names the field, and again at every
		// authentication.
		if _, _, err := c.credentials(ctx, sasl.SecretRef.Name); err != nil {
			return config, "", err
		}
		config.SASL = &kafka.SASL{
			Mechanism: string(sasl.Mechanism),
			Source:    fmt.Sprintf("Secret %s/%s (spec.sasl.secretRef)", c.Namespace, sasl.SecretRef.Name),
			Credentials: func(ctx context.Context) (string, string, error) {
				username, password, err := c.credentials(ctx, sasl.SecretRef.Name)
				return username, password, halt.Rejection(err)
			},
		}
	}
	if resource.Spec.TLS != nil {
		if config.TLS, material, err = c.tlsConfig(ctx, resource.Spec.TLS); err != nil {
			return config, "", err
		}
	}
	return config, material, nil
}

func (c *Clusters) credentials(ctx context.Context, secret string) (username, password string, err error) {
	values, err := c.Secret(ctx, c.Namespace, secret, "spec.sasl.secretRef", "username", "password")
	return values["username"], values["password"], err
}

func (c *Clusters) tlsConfig(ctx context.Context, spec *v1alpha1.KafkaTLS) (*tls.Config, string, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var material strings.Builder
	if ca, err := c.Authority(ctx, spec); err != nil {
		return nil, "", err
	} else if ca != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(ca))
		material.WriteString(ca)
	}
	if ref := spec.ClientSecretRef; ref != nil {
		values, err := c.Secret(ctx, c.Namespace, ref.Name, "spec.tls.clientSecretRef", "tls.crt", "tls.key")
		if err != nil {
			return nil, "", err
		}
		pair, err := tls.X509KeyPair([]byte(values["tls.crt"]), []byte(values["tls.key"]))
		if err != nil {
			return nil, "", halt.Stall(v1alpha1.ReasonSecretInvalid,
				"spec.tls.clientSecretRef: Secret %s/%s holds no PEM certificate under tls.crt and the key that fits it under tls.key", c.Namespace, ref.Name)
		}
		config.Certificates = []tls.Certificate{pair}
		material.WriteString(values["tls.crt"])
	}
	return config, material.String(), nil
}

// Authority is the PEM certificates that sign the brokers' certificates; empty
// means the system's roots.
func (c *Clusters) Authority(ctx context.Context, spec *v1alpha1.KafkaTLS) (string, error) {
	if spec == nil || spec.CASecretRef == nil {
		return "", nil
	}
	ref := spec.CASecretRef
	values, err := c.Secret(ctx, c.Namespace, ref.Name, "spec.tls.caSecretRef", ref.Key)
	if err != nil {
		return "", err
	}
	ca := certificatesOf(values[ref.Key])
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return "", halt.Stall(v1alpha1.ReasonSecretInvalid,
			"spec.tls.caSecretRef: key %q of Secret %s/%s holds no PEM certificate", ref.Key, c.Namespace, ref.Name)
	}
	return ca, nil
}

// certificatesOf is the certificates of a PEM text, without the private keys and
// whatever else stands beside them: it goes into ConfigMaps of tenants.
func certificatesOf(text string) string {
	var certificates strings.Builder
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificates.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
		}
	}
	return certificates.String()
}

// CredentialKeys are the keys that the credentials Secret of a worker has, as
// the cluster's way to authenticate needs them; none where it has no such way.
func (c *Clusters) CredentialKeys(ctx context.Context, cluster *v1alpha1.KafkaCluster, namespace, secret, field string) ([]string, error) {
	var keys []string
	switch {
	case cluster.Spec.SASL != nil:
		keys = []string{"username", "password"}
	case cluster.Spec.TLS != nil:
		keys = []string{"tls.crt", "tls.key"}
	default:
		return nil, nil
	}
	return keys, c.CheckSecret(ctx, namespace, secret, field, keys...)
}
