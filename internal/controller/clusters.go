package controller

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// clusters keeps one connection a KafkaCluster, and finds the cluster that a
// resource lives on. Safe for concurrent use.
type clusters struct {
	reader client.Reader // the cache
	// secrets reads past the cache, so that the manager may do with the right
	// to get Secrets, and never holds them all.
	secrets client.Reader
	// namespace is the operator's, where the Secrets of KafkaClusters are.
	namespace string

	mu          sync.Mutex
	connections map[string]connection // by KafkaCluster name
}

// connection is good for as long as the KafkaCluster and its certificates stay the same.
type connection struct {
	version string // UID and generation of the KafkaCluster
	// material is a digest of the certificates. Passwords are not in it: they
	// are read at every authentication.
	material string
	cluster  *kafka.Cluster
}

func newClusters(reader, secrets client.Reader, namespace string) *clusters {
	return &clusters{reader: reader, secrets: secrets, namespace: namespace, connections: map[string]connection{}}
}

// of finds the cluster of a resource that is in namespace: the one recorded in
// its status, else the one that its spec names, else the default. The cluster
// must allow the namespace and be Ready. Errors are halts.
func (c *clusters) of(ctx context.Context, namespace, recorded string, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, *kafka.Cluster, error) {
	resource, err := c.find(ctx, recorded, ref)
	if err != nil {
		return nil, nil, err
	}
	if err := c.allows(ctx, resource, namespace); err != nil {
		return nil, nil, err
	}
	ready := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case resource.Spec.Suspend:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", resource.Name)
	case ready == nil || resource.Status.ObservedGeneration != resource.Generation:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q has not been looked at yet", resource.Name)
	case ready.Status != metav1.ConditionTrue:
		return nil, nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is not ready: %s", resource.Name, ready.Message)
	}
	c.mu.Lock()
	known, ok := c.connections[resource.Name]
	c.mu.Unlock()
	if ok && known.version == versionOf(resource) {
		return resource, known.cluster, nil
	}
	cluster, err := c.connect(ctx, resource)
	return resource, cluster, err
}

// behind is the cluster where a resource that is being deleted has left
// something. It need not be Ready, but must be the one that it was. Errors are halts.
func (c *clusters) behind(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	switch guard := resource.Spec.ClusterID; {
	case resource.Spec.Suspend:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", resource.Name)
	case guard != "" && guard != resource.Status.ClusterID:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q leads to another cluster than spec.clusterId says", resource.Name)
	}
	return c.connect(ctx, resource)
}

func versionOf(resource *v1alpha1.KafkaCluster) string {
	return fmt.Sprintf("%s/%d", resource.UID, resource.Generation)
}

// find reads the KafkaCluster that a resource lives on.
func (c *clusters) find(ctx context.Context, recorded string, ref *v1alpha1.ClusterReference) (*v1alpha1.KafkaCluster, error) {
	name := recorded
	if name == "" && ref != nil {
		name = ref.Name
	}
	if name == "" {
		return c.findDefault(ctx)
	}
	var found v1alpha1.KafkaCluster
	err := c.reader.Get(ctx, client.ObjectKey{Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound, "KafkaCluster %q does not exist; create it, or name another one in spec.clusterRef", name)
	}
	return &found, err
}

func (c *clusters) findDefault(ctx context.Context) (*v1alpha1.KafkaCluster, error) {
	var all v1alpha1.KafkaClusterList
	if err := c.reader.List(ctx, &all); err != nil {
		return nil, err
	}
	var defaults []*v1alpha1.KafkaCluster
	var names []string
	for i := range all.Items {
		if all.Items[i].Annotations[v1alpha1.DefaultClusterAnnotation] == "true" {
			defaults = append(defaults, &all.Items[i])
			names = append(names, all.Items[i].Name)
		}
	}
	slices.Sort(names) // the cache has no order, and the message must not change
	switch len(defaults) {
	case 1:
		return defaults[0], nil
	case 0:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound,
			"spec.clusterRef is absent and no KafkaCluster is the default; set spec.clusterRef, or annotate a KafkaCluster with %s=true",
			v1alpha1.DefaultClusterAnnotation)
	default:
		return nil, halt.Wait(v1alpha1.ReasonClusterNotFound,
			"spec.clusterRef is absent and several KafkaClusters carry %s=true: %s; leave it on one",
			v1alpha1.DefaultClusterAnnotation, strings.Join(names, ", "))
	}
}

func (c *clusters) allows(ctx context.Context, cluster *v1alpha1.KafkaCluster, namespace string) error {
	if cluster.Spec.Namespaces.From != v1alpha1.FromSelector {
		return nil
	}
	ok, err := namespaceMatches(ctx, c.reader, namespace, cluster.Spec.Namespaces.Selector)
	if err != nil || ok {
		return err
	}
	return halt.Stall(v1alpha1.ReasonNamespaceRefused,
		"KafkaCluster %q does not admit namespace %q: its labels do not match spec.namespaces.selector (%s)",
		cluster.Name, namespace, metav1.FormatLabelSelector(cluster.Spec.Namespaces.Selector))
}

// namespaceMatches says whether a namespace's labels match a selector.
func namespaceMatches(ctx context.Context, reader client.Reader, namespace string, by *metav1.LabelSelector) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return false, halt.Stall("InvalidSelector", "the namespace selector is not valid: %v", err)
	}
	var found corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: namespace}, &found); err != nil {
		return false, err
	}
	return selector.Matches(labels.Set(found.Labels)), nil
}

// connect reads the Secrets of a KafkaCluster and returns its connection, made
// anew where the spec or a certificate has changed. It does not touch Kafka.
func (c *clusters) connect(ctx context.Context, resource *v1alpha1.KafkaCluster) (*kafka.Cluster, error) {
	config, material, err := c.config(ctx, resource)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.connections[resource.Name]
	if ok && known.version == versionOf(resource) && known.material == material {
		return known.cluster, nil
	}
	cluster, err := kafka.Connect(config)
	if err != nil {
		return nil, halt.Kafka(err)
	}
	if ok {
		// Calls under way fail, and their passes are made again.
		known.cluster.Close()
	}
	c.connections[resource.Name] = connection{version: versionOf(resource), material: material, cluster: cluster}
	return cluster, nil
}

// latest is the connection to a KafkaCluster that was made last, nil if there is none.
func (c *clusters) latest(name string) *kafka.Cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connections[name].cluster
}

// forget closes the connection of a KafkaCluster that is gone.
func (c *clusters) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.connections[name]; ok {
		known.cluster.Close()
		delete(c.connections, name)
	}
}

// close ends all connections.
func (c *clusters) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, known := range c.connections {
		known.cluster.Close()
		delete(c.connections, name)
	}
}

// config builds the connection of a KafkaCluster from its spec and Secrets;
// material is what of the Secrets went into it.
func (c *clusters) config(ctx context.Context, resource *v1alpha1.KafkaCluster) (config kafka.Config, material string, err error) {
	config = kafka.Config{
		BootstrapServers: resource.Spec.BootstrapServers, ClientID: "weir",
		// The first cluster that answered is the one, until spec.clusterId names
		// another.
		ClusterID: cmp.Or(resource.Spec.ClusterID, resource.Status.ClusterID),
	}
	if sasl := resource.Spec.SASL; sasl != nil {
		// Read once now for an error that names the field, and again at every
		// authentication.
		if _, _, err := c.credentials(ctx, sasl.SecretRef.Name); err != nil {
			return config, "", err
		}
		config.SASL = &kafka.SASL{
			Mechanism: string(sasl.Mechanism),
			Source:    fmt.Sprintf("Secret %s/%s (spec.sasl.secretRef)", c.namespace, sasl.SecretRef.Name),
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

func (c *clusters) credentials(ctx context.Context, secret string) (username, password string, err error) {
	values, err := readSecret(ctx, c.secrets, c.namespace, secret, "spec.sasl.secretRef", "username", "password")
	return values["username"], values["password"], err
}

func (c *clusters) tlsConfig(ctx context.Context, spec *v1alpha1.KafkaTLS) (*tls.Config, string, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var material strings.Builder
	if ca, err := c.authority(ctx, spec); err != nil {
		return nil, "", err
	} else if ca != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(ca))
		material.WriteString(ca)
	}
	if ref := spec.ClientSecretRef; ref != nil {
		values, err := readSecret(ctx, c.secrets, c.namespace, ref.Name, "spec.tls.clientSecretRef", "tls.crt", "tls.key")
		if err != nil {
			return nil, "", err
		}
		pair, err := tls.X509KeyPair([]byte(values["tls.crt"]), []byte(values["tls.key"]))
		if err != nil {
			return nil, "", halt.Stall(v1alpha1.ReasonSecretInvalid,
				"spec.tls.clientSecretRef: Secret %s/%s holds no PEM certificate under tls.crt and the key that fits it under tls.key", c.namespace, ref.Name)
		}
		config.Certificates = []tls.Certificate{pair}
		material.WriteString(values["tls.crt"])
	}
	return config, hashOf(material.String()), nil
}

// authority is the PEM certificates that sign the brokers' certificates; empty
// means the system's roots.
func (c *clusters) authority(ctx context.Context, spec *v1alpha1.KafkaTLS) (string, error) {
	if spec == nil || spec.CASecretRef == nil {
		return "", nil
	}
	ref := spec.CASecretRef
	values, err := readSecret(ctx, c.secrets, c.namespace, ref.Name, "spec.tls.caSecretRef", ref.Key)
	if err != nil {
		return "", err
	}
	ca := certificatesOf(values[ref.Key])
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return "", halt.Stall(v1alpha1.ReasonSecretInvalid,
			"spec.tls.caSecretRef: key %q of Secret %s/%s holds no PEM certificate", ref.Key, c.namespace, ref.Name)
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

// credentialKeys are the keys that the credentials Secret of a worker has, as
// the cluster's way to authenticate needs them; none where it has no such way.
func (c *clusters) credentialKeys(ctx context.Context, cluster *v1alpha1.KafkaCluster, namespace, secret, field string) ([]string, error) {
	var keys []string
	switch {
	case cluster.Spec.SASL != nil:
		keys = []string{"username", "password"}
	case cluster.Spec.TLS != nil:
		keys = []string{"tls.crt", "tls.key"}
	default:
		return nil, nil
	}
	_, err := readSecret(ctx, c.secrets, namespace, secret, field, keys...)
	return keys, err
}
