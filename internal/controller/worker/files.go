package worker

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/relay/config"
)

// KafkaConfig is how a worker with credentials of its own reaches a cluster.
// The Secret's keys decide: a user name and password for SASL, or a client
// certificate.
func KafkaConfig(cluster *v1alpha1.KafkaCluster, withAuthority bool, secretKeys []string) config.Kafka {
	kafka := config.Kafka{BootstrapServers: cluster.Spec.BootstrapServers, ClusterID: cluster.Status.ClusterID}
	if cluster.Spec.TLS != nil {
		kafka.TLS = &config.TLS{}
		if withAuthority {
			kafka.TLS.CAFile = AuthorityPEM
		}
	}
	if slices.Contains(secretKeys, "tls.crt") && kafka.TLS != nil {
		kafka.TLS.CertFile = path.Join(kafkaDir, "tls.crt")
		kafka.TLS.KeyFile = path.Join(kafkaDir, "tls.key")
	}
	if slices.Contains(secretKeys, "username") && cluster.Spec.SASL != nil {
		kafka.SASL = &config.SASL{
			Mechanism:    string(cluster.Spec.SASL.Mechanism),
			UsernameFile: path.Join(kafkaDir, "username"),
			PasswordFile: path.Join(kafkaDir, "password"),
		}
	}
	return kafka
}

// SecretFiles projects keys of a Secret into the worker's directory.
func SecretFiles(secret string, files map[string]string) corev1.VolumeProjection {
	var items []corev1.KeyToPath
	for _, key := range slices.Sorted(maps.Keys(files)) {
		items = append(items, corev1.KeyToPath{Key: key, Path: files[key]})
	}
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Items: items,
	}}
}

// KafkaFiles projects the credentials of a worker.
func KafkaFiles(secret string, keys []string) corev1.VolumeProjection {
	files := map[string]string{}
	for _, key := range keys {
		files[key] = path.Join(kafkaDir, key)
	}
	return SecretFiles(secret, files)
}

func joined(files map[string]string) string {
	var all string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all += name + "\x00" + files[name] + "\x00"
	}
	return all
}
