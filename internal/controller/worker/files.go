package worker

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"path"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
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

// mostInOne is the most bytes of files in one ConfigMap, which the API server
// limits to 1 MiB.
const mostInOne = 768 << 10

// parts spreads the worker's files over ConfigMaps, as few as hold them: a power
// of two, so that their number seldom changes. Which one a file is in depends on
// its name alone.
func (w Spec) parts() []map[string]string {
	for n := 1; ; n *= 2 {
		parts, size := make([]map[string]string, n), make([]int, n)
		for i := range parts {
			parts[i] = map[string]string{}
		}
		for name, text := range w.Files {
			part := 0
			if n > 1 {
				sum := sha256.Sum256([]byte(name))
				part = int(binary.BigEndian.Uint32(sum[:4]) % uint32(n))
			}
			parts[part][name] = text
			size[part] += len(name) + len(text)
		}
		if slices.Max(size) <= mostInOne || n >= len(w.Files) {
			return parts
		}
	}
}

// ConfigMaps render the worker's files.
func (w Spec) ConfigMaps() []*corev1.ConfigMap {
	parts, names := w.parts(), w.FilesNames()
	all := make([]*corev1.ConfigMap, len(parts))
	for i, files := range parts {
		meta := w.meta()
		meta.Name = names[i]
		all[i] = &corev1.ConfigMap{ObjectMeta: meta, Data: files}
		if !w.Followed {
			all[i].Immutable = new(true)
		}
	}
	return all
}

// FilesNames name the ConfigMaps by what decides who can read them: their content,
// or, where pods follow the content, the program that reads it. A pod of an
// earlier version never sees files that it does not know.
func (w Spec) FilesNames() []string {
	decides := joined(w.Files)
	if w.Followed {
		decides = w.Image
	}
	parts := len(w.parts())
	if parts > 1 {
		decides += "\x00" + strconv.Itoa(parts)
	}
	name := w.Name + "-" + child.Digest("files of " + w.Component + "\x00" + decides)[:8]
	if parts == 1 {
		return []string{name}
	}
	names := make([]string, parts)
	for i := range names {
		names[i] = name + "-" + strconv.Itoa(i)
	}
	return names
}

// MountedFiles are the names of the ConfigMaps that a worker's pods mount.
func MountedFiles(pod corev1.PodSpec) []string {
	var names []string
	for _, volume := range pod.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ConfigMap != nil {
				names = append(names, source.ConfigMap.Name)
			}
		}
	}
	return names
}

func joined(files map[string]string) string {
	var all string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all += name + "\x00" + files[name] + "\x00"
	}
	return all
}
