package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterReference names a KafkaCluster.
type ClusterReference struct {
	// Name of the KafkaCluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// LocalReference names a resource in the same namespace.
type LocalReference struct {
	// Name of the resource.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TopicReference names a Topic resource.
type TopicReference struct {
	// Name of the Topic resource (not of the topic in Kafka).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the Topic resource; this resource's own if empty. A Topic in another
	// namespace must allow it: spec.allowedConsumers for readers, spec.allowedProducers for writers.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// SecretReference names a Secret whose keys are fixed by the field that refers to it.
type SecretReference struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecretKeyReference names one key of a Secret.
type SecretKeyReference struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// NamespacesFrom says which namespaces a rule allows.
// +kubebuilder:validation:Enum=Same;All;Selector
type NamespacesFrom string

// The ways to choose namespaces.
const (
	FromSame     NamespacesFrom = "Same"
	FromAll      NamespacesFrom = "All"
	FromSelector NamespacesFrom = "Selector"
)

// NamespaceRule chooses namespaces other than the resource's own, which is always allowed.
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",fieldPath=".selector",message="selector is required when from is Selector, and only then"
type NamespaceRule struct {
	// From is Same (this resource's namespace only), All, or Selector (namespaces whose labels match selector).
	// +optional
	// +kubebuilder:default=Same
	From NamespacesFrom `json:"from,omitempty"`
	// Selector matches the labels of namespaces.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// AllowedNamespaces says whose resources may refer to a Topic.
type AllowedNamespaces struct {
	// Namespaces whose resources may refer to this Topic.
	// +optional
	// +kubebuilder:default={from: Same}
	Namespaces NamespaceRule `json:"namespaces,omitempty"`
}

// KafkaCredentials are the identity with which a worker speaks to Kafka.
type KafkaCredentials struct {
	// Principal that these credentials authenticate as, as Kafka's ACLs write it: "User:shop-relay".
	// Weir grants it what the worker needs, and nothing else.
	// +required
	// +kubebuilder:validation:MinLength=6
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.startsWith('User:') && self != 'User:*'",message="must be of the form User:<name>, and not User:*"
	Principal string `json:"principal"`
	// CredentialsSecretRef names a Secret with the keys username and password (SASL, with the mechanism of the
	// KafkaCluster), or tls.crt and tls.key (mTLS).
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef"`
}

// PodTemplate adjusts the pods of a worker.
type PodTemplate struct {
	// Labels added to the pods. Labels that Weir sets cannot be overridden.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations added to the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
	// NodeSelector of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of the pods.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Affinity of the pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// ServiceAccountName of the pods; the namespace's default if empty. Its token is not mounted: workers do not
	// speak to Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// WorkloadStatus is what the operator sees of a worker's Deployment.
type WorkloadStatus struct {
	// Name of the Deployment.
	// +required
	Name string `json:"name"`
	// Replicas that the Deployment wants.
	// +required
	Replicas int32 `json:"replicas"`
	// ReadyReplicas that pass their readiness probe.
	// +required
	ReadyReplicas int32 `json:"readyReplicas"`
}
