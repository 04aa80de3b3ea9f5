package config

// Kafka says how a worker reaches its cluster. Credentials are paths to files,
// read again at every authentication, so that a rotated Secret takes effect
// without a restart.
type Kafka struct {
	// BootstrapServers are host:port addresses, at least one.
	BootstrapServers []string `json:"bootstrapServers"`
	// ClusterID, where not empty, is the only cluster that the worker may
	// write to; it stops with an error if the brokers report another one.
	ClusterID string `json:"clusterID,omitempty"`
	// Principal is who was granted what the worker needs; empty where that is
	// not known.
	Principal string `json:"principal,omitempty"`
	// TLS is absent for plaintext.
	TLS *TLS `json:"tls,omitempty"`
	// SASL is absent where the cluster authenticates by client certificate or not at all.
	SASL *SASL `json:"sasl,omitempty"`
}

// TLS names the files of a TLS connection, relative to the worker's directory.
type TLS struct {
	// CAFile holds PEM certificates; empty means the system's roots.
	CAFile string `json:"caFile,omitempty"`
	// CertFile and KeyFile hold the client's certificate and key for mTLS; both or neither.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
}

// The SASL mechanisms, spelled as in KafkaCluster's spec.sasl.mechanism.
const (
	Plain       = "Plain"
	ScramSHA256 = "ScramSHA256"
	ScramSHA512 = "ScramSHA512"
)

// SASL names the mechanism and the files of a user name and a password.
type SASL struct {
	Mechanism    string `json:"mechanism"`
	UsernameFile string `json:"usernameFile"`
	PasswordFile string `json:"passwordFile"`
}
