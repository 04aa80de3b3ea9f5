// Package worker renders the Deployment of a relay binary, with the files that
// it reads, and asks its pods for their state over HTTP. What a state means the
// kinds judge.
package worker

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/child"
)

// Where a worker finds its files: everything is projected into one directory,
// and the paths in the config are relative to it.
const (
	workerDir    = "/etc/weir"
	DatabaseURI  = "database/uri"
	kafkaDir     = "kafka"
	AuthorityPEM = "ca.crt"
	httpPort     = "http"

	// ConfigAnnotation, on pods, is a digest of the files that they read when they start.
	ConfigAnnotation = "weir.dev/config"
	// FilesAnnotation, on pods that follow their files, is a digest of what these
	// are to be: it changes with them, so that a kubelet looks.
	FilesAnnotation = "weir.dev/files"
	// GenerationAnnotation, on a Deployment, is the generation of its owner that it was rendered from.
	GenerationAnnotation = "weir.dev/generation"
)

// Spec is what the workloads of OutboxRelay and KafkaCluster differ in.
type Spec struct {
	// Owner controls the objects; nil where they outlive their owner.
	Owner     *metav1.OwnerReference
	Name      string
	Namespace string
	// Component is the subcommand of the relay binary: outbox or retry.
	Component string
	Image     string
	Replicas  int32
	Resources corev1.ResourceRequirements
	Template  v1alpha1.PodTemplate
	// Files are the ConfigMap's.
	Files map[string]string
	// Followed files take effect without a restart; the others roll the pods.
	Followed bool
	// Labels are the Deployment's, beside those that choose its pods.
	Labels  map[string]string
	Secrets []corev1.VolumeProjection
	// Generation of the owner that this is rendered from.
	Generation int64
}

// labels choose a worker's pods.
func (w Spec) labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":      "weir-" + w.Component,
		"app.kubernetes.io/instance":  w.Name,
		"app.kubernetes.io/component": w.Component,
		child.ManagedByLabel:          child.ManagedBy,
	}
}

func (w Spec) meta() metav1.ObjectMeta {
	made := metav1.ObjectMeta{Name: w.Name, Namespace: w.Namespace, Labels: w.labels()}
	if w.Owner != nil {
		made.OwnerReferences = []metav1.OwnerReference{*w.Owner}
	}
	return made
}

// Deployment renders the worker's pods: no access to Kubernetes, and what the
// `restricted` pod security standard asks for. A rolling update starts the new
// pod before it stops the old one: the new one stands by until the old one has
// settled and let go of the lock.
func (w Spec) Deployment() *appsv1.Deployment {
	labels := maps.Clone(w.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, w.labels())
	annotations := map[string]string{}
	maps.Copy(annotations, w.Template.Annotations)
	if !w.Followed {
		annotations[ConfigAnnotation] = child.Digest(joined(w.Files))
	}
	meta := w.meta()
	maps.Copy(meta.Labels, w.Labels)
	meta.Annotations = map[string]string{GenerationAnnotation: strconv.FormatInt(w.Generation, 10)}
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:             &w.Replicas,
			Selector:             &metav1.LabelSelector{MatchLabels: w.labels()},
			RevisionHistoryLimit: new(int32(3)),
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0)),
				},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       w.podSpec(),
			},
		},
	}
}

func (w Spec) pullSecrets() []corev1.LocalObjectReference {
	var all []corev1.LocalObjectReference
	for _, secret := range w.Template.ImagePullSecrets {
		all = append(all, corev1.LocalObjectReference{Name: secret.Name})
	}
	return all
}

func (w Spec) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName:            w.Template.ServiceAccountName,
		ImagePullSecrets:              w.pullSecrets(),
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		NodeSelector:                  w.Template.NodeSelector,
		Tolerations:                   w.Template.Tolerations,
		Affinity:                      w.Template.Affinity,
		TerminationGracePeriodSeconds: new(int64(30)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:      "relay",
			Image:     w.Image,
			Command:   []string{"/relay", w.Component, "--dir=" + workerDir, "--listen=:$(HTTP_PORT)"},
			Env:       []corev1.EnvVar{{Name: "HTTP_PORT", Value: "8080"}},
			Ports:     []corev1.ContainerPort{{Name: httpPort, ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Resources: w.limits(),
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				ReadOnlyRootFilesystem:   new(true),
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

func (w Spec) projections() []corev1.VolumeProjection {
	var all []corev1.VolumeProjection
	for _, name := range w.FilesNames() {
		all = append(all, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: name},
		}})
	}
	return append(all, w.Secrets...)
}

// limits are the resources asked for, or what a relay does well with.
func (w Spec) limits() corev1.ResourceRequirements {
	if len(w.Resources.Requests) > 0 || len(w.Resources.Limits) > 0 {
		return w.Resources
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
