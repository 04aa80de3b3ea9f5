package controller

import (
	"maps"
	"path"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/relay/config"
)

// Where a worker finds its files: everything is projected into one directory,
// and the paths in the config are relative to it.
const (
	workerDir    = "/etc/weir"
	databaseURI  = "database/uri"
	kafkaDir     = "kafka"
	authorityPEM = "ca.crt"
	httpPort     = "http"

	// configAnnotation, on pods, is a digest of the files that they read when they start.
	configAnnotation = "weir.dev/config"
	// generationAnnotation, on a Deployment, is the generation of its owner that it was rendered from.
	generationAnnotation = "weir.dev/generation"
)

// worker is what the workloads of OutboxRelay and KafkaCluster differ in.
type worker struct {
	owner     metav1.OwnerReference
	name      string
	namespace string
	// component is the subcommand of the relay binary: outbox or retry.
	component string
	image     string
	replicas  int32
	resources corev1.ResourceRequirements
	template  v1alpha1.PodTemplate
	// files are the ConfigMap's.
	files map[string]string
	// followed files take effect without a restart; the others roll the pods.
	followed bool
	secrets  []corev1.VolumeProjection
	// generation of the owner that this is rendered from.
	generation int64
}

// labels choose a worker's pods.
func (w worker) labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":      "weir-" + w.component,
		"app.kubernetes.io/instance":  w.name,
		"app.kubernetes.io/component": w.component,
		managedByLabel:                managedByWeir,
	}
}

func (w worker) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: w.name, Namespace: w.namespace, Labels: w.labels(), OwnerReferences: []metav1.OwnerReference{w.owner},
	}
}

// configMap renders the worker's files.
func (w worker) configMap() *corev1.ConfigMap {
	meta := w.meta()
	meta.Name = w.filesName()
	files := &corev1.ConfigMap{ObjectMeta: meta, Data: w.files}
	if !w.followed {
		files.Immutable = ptr(true)
	}
	return files
}

// filesName names the ConfigMap by what decides who can read it: its content,
// or, where pods follow the content, the program that reads it. A pod of an
// earlier version never sees files that it does not know.
func (w worker) filesName() string {
	decides := joined(w.files)
	if w.followed {
		decides = w.image
	}
	return w.name + "-" + hashOf("files of " + w.component + "\x00" + decides)[:8]
}

// mountedFiles is the name of the ConfigMap that a worker's pods mount, empty
// where there is none.
func mountedFiles(pod corev1.PodSpec) string {
	for _, volume := range pod.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ConfigMap != nil {
				return source.ConfigMap.Name
			}
		}
	}
	return ""
}

// deployment renders the worker's pods: no access to Kubernetes, and what the
// `restricted` pod security standard asks for. A rolling update starts the new
// pod before it stops the old one: the new one stands by until the old one has
// settled and let go of the lock.
func (w worker) deployment() *appsv1.Deployment {
	labels := maps.Clone(w.template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, w.labels())
	annotations := maps.Clone(w.template.Annotations)
	if !w.followed {
		annotations = with(annotations, configAnnotation, hashOf(joined(w.files)))
	}
	meta := w.meta()
	meta.Annotations = map[string]string{generationAnnotation: strconv.FormatInt(w.generation, 10)}
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:             &w.replicas,
			Selector:             &metav1.LabelSelector{MatchLabels: w.labels()},
			RevisionHistoryLimit: ptr(int32(3)),
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr(intstr.FromInt32(1)), MaxUnavailable: ptr(intstr.FromInt32(0)),
				},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       w.podSpec(),
			},
		},
	}
}

// rolledGeneration is the generation of its owner that a Deployment was
// rendered from; −1 if it does not say.
func rolledGeneration(deployment *appsv1.Deployment) int64 {
	generation, err := strconv.ParseInt(deployment.Annotations[generationAnnotation], 10, 64)
	if err != nil {
		return -1
	}
	return generation
}

func (w worker) pullSecrets() []corev1.LocalObjectReference {
	var all []corev1.LocalObjectReference
	for _, secret := range w.template.ImagePullSecrets {
		all = append(all, corev1.LocalObjectReference{Name: secret.Name})
	}
	return all
}

func (w worker) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName:            w.template.ServiceAccountName,
		ImagePullSecrets:              w.pullSecrets(),
		AutomountServiceAccountToken:  ptr(false),
		EnableServiceLinks:            ptr(false),
		NodeSelector:                  w.template.NodeSelector,
		Tolerations:                   w.template.Tolerations,
		Affinity:                      w.template.Affinity,
		TerminationGracePeriodSeconds: ptr(int64(30)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:      "relay",
			Image:     w.image,
			Command:   []string{"/relay", w.component, "--dir=" + workerDir, "--listen=:$(HTTP_PORT)"},
			Env:       []corev1.EnvVar{{Name: "HTTP_PORT", Value: "8080"}},
			Ports:     []corev1.ContainerPort{{Name: httpPort, ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Resources: w.limits(),
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr(false),
				ReadOnlyRootFilesystem:   ptr(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			LivenessProbe:  probe("/healthz", 10, 3),
			ReadinessProbe: probe("/readyz", 2, 1),
			VolumeMounts:   []corev1.VolumeMount{{Name: "weir", MountPath: workerDir, ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{{
			Name:         "weir",
			VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: w.projections()}},
		}},
	}
}

func (w worker) projections() []corev1.VolumeProjection {
	files := corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: w.filesName()},
	}}
	return append([]corev1.VolumeProjection{files}, w.secrets...)
}

// limits are the resources asked for, or what a relay does well with.
func (w worker) limits() corev1.ResourceRequirements {
	if len(w.resources.Requests) > 0 || len(w.resources.Limits) > 0 {
		return w.resources
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("50m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(httpPort), Scheme: corev1.URISchemeHTTP},
		},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 2,
	}
}

// kafkaConfig is how a worker with credentials of its own reaches a cluster.
// The Secret's keys decide: a user name and password for SASL, or a client
// certificate.
func kafkaConfig(cluster *v1alpha1.KafkaCluster, withAuthority bool, secretKeys []string) config.Kafka {
	kafka := config.Kafka{BootstrapServers: cluster.Spec.BootstrapServers, ClusterID: cluster.Status.ClusterID}
	if cluster.Spec.TLS != nil {
		kafka.TLS = &config.TLS{}
		if withAuthority {
			kafka.TLS.CAFile = authorityPEM
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

// secretFiles projects keys of a Secret into the worker's directory.
func secretFiles(secret string, files map[string]string) corev1.VolumeProjection {
	var items []corev1.KeyToPath
	for _, key := range slices.Sorted(maps.Keys(files)) {
		items = append(items, corev1.KeyToPath{Key: key, Path: files[key]})
	}
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Items: items,
	}}
}

// kafkaFiles projects the credentials of a worker.
func kafkaFiles(secret string, keys []string) corev1.VolumeProjection {
	files := map[string]string{}
	for _, key := range keys {
		files[key] = path.Join(kafkaDir, key)
	}
	return secretFiles(secret, files)
}

func joined(files map[string]string) string {
	var all string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all += name + "\x00" + files[name] + "\x00"
	}
	return all
}

func ptr[T any](value T) *T { return &value }
