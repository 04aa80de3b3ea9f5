package outboxrelay

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/pool"
)

// relaySecrets is what a relay's worker is rendered from besides its spec, and
// no secret itself.
type relaySecrets struct {
	// keys of the credentials Secret.
	keys []string
	// authority is the PEM certificates that sign the brokers'.
	authority string
}

// RememberedSecrets remembers which relays' Secrets were in order, so that the
// passes that read the workers' states do not read Secrets every time. What was
// not in order is looked at again at once. Safe for concurrent use.
type RememberedSecrets struct {
	interval time.Duration

	mu    sync.Mutex
	found map[types.UID]secretsFound
}

type secretsFound struct {
	relaySecrets
	// generation of the relay, version of its KafkaCluster.
	generation int64
	version    string
	at         time.Time
}

// NewRememberedSecrets remembers for an interval.
func NewRememberedSecrets(interval time.Duration) *RememberedSecrets {
	return &RememberedSecrets{interval: interval, found: map[types.UID]secretsFound{}}
}

// remembered calls read where nothing is remembered of this relay and cluster,
// or for too long.
func (m *RememberedSecrets) remembered(relay *v1alpha1.OutboxRelay, cluster *v1alpha1.KafkaCluster, read func() (relaySecrets, error)) (relaySecrets, error) {
	m.mu.Lock()
	known, ok := m.found[relay.UID]
	m.mu.Unlock()
	if ok && known.generation == relay.Generation && known.version == pool.Version(cluster) && time.Since(known.at) < m.interval {
		return known.relaySecrets, nil
	}
	secrets, err := read()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.found, relay.UID)
	if err == nil {
		m.found[relay.UID] = secretsFound{secrets, relay.Generation, pool.Version(cluster), time.Now()}
	}
	return secrets, err
}

// forget drops a relay that is gone.
func (m *RememberedSecrets) forget(relay client.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.found, relay.GetUID())
}
