package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterReference names a KafkaCluster.
type ClusterReference struct {
	// Name of the KafkaCluster: "main".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a KafkaCluster: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
}

// LocalReference names a resource in the same namespace.
type LocalReference struct {
	// Name of the resource: "standard".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a resource in this namespace: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
}

// TopicReference names a Topic resource.
type TopicReference struct {
	// Name of the Topic resource, which is not the topic's name in Kafka:
	// "orders", not "shop.orders".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Topic resource, not of a topic in Kafka: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
	// Namespace of the Topic resource: "shop". Absent means this resource's own
	// namespace. A Topic in another namespace must allow it, in its
	// spec.allowedConsumers for readers and spec.allowedProducers for writers.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace: lower-case letters, digits and '-', beginning and ending with a letter or digit"
	Namespace string `json:"namespace,omitempty"`
}

// SecretReference names a Secret whose keys are fixed by the field that refers
// to it.
type SecretReference struct {
	// Name of the Secret: "shop-relay-kafka".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Secret: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
}

// SecretKeyReference names one key of a Secret.
type SecretKeyReference struct {
	// Name of the Secret: "shop-db-app".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Secret: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
	// Key in the Secret's data: "uri".
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
	Key string `json:"key"`
}

// NamespacesFrom says which namespaces a rule allows.
// +kubebuilder:validation:Enum=Same;All;Selector
type NamespacesFrom string

// The ways to choose namespaces.
const (
	// The resource's own namespace, and no other.
	FromSame NamespacesFrom = "Same"
	// Every namespace.
	FromAll NamespacesFrom = "All"
	// Namespaces whose labels match a selector.
	FromSelector NamespacesFrom = "Selector"
)

// NamespaceRule chooses namespaces other than the resource's own, which is
// always allowed.
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",fieldPath=".selector",message="selector goes with from: Selector, and from: Selector with a selector"
type NamespaceRule struct {
	// From is Same (this resource's namespace and no other), All, or Selector
	// (namespaces whose labels match selector, besides this resource's own).
	// +optional
	// +kubebuilder:default=Same
	From NamespacesFrom `json:"from,omitempty"`
	// Selector matches the labels of namespaces. Every namespace has the label
	// kubernetes.io/metadata.name, its name.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="is empty, which would match every namespace: name labels, or write from: All"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'] && (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",fieldPath=".matchExpressions",message="each needs an operator, In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// AllowedNamespaces says whose resources may refer to a Topic.
type AllowedNamespaces struct {
	// Namespaces whose resources may refer to this Topic.
	// +optional
	// +kubebuilder:default={from: Same}
	Namespaces NamespaceRule `json:"namespaces,omitzero"`
}

// KafkaCredentials are the identity with which a worker speaks to Kafka.
type KafkaCredentials struct {
	// Principal that these credentials authenticate as, as Kafka's ACLs write it:
	// "User:shop-relay". Weir grants it what the worker needs, and nothing else.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^User:.') && self != 'User:*'",message="must be User:<name>, one user and not User:*"
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\pC\p{Zl}\p{Zp}]*$')`,message="must be of printable characters"
	Principal string `json:"principal"`
	// CredentialsSecretRef names a Secret with the keys username and password
	// (SASL, with the mechanism of the KafkaCluster), or tls.crt and tls.key
	// (mTLS). A changed Secret takes effect without a restart.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef"`
}

// PodTemplate adjusts the pods of a worker.
type PodTemplate struct {
	// Labels added to the pods. Labels that Weir sets cannot be overridden.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue() && size(self[k]) <= 63)",message="must be labels: keys like team or example.com/team, values of at most 63 characters"
	// +kubebuilder:default={}
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations added to the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue() && size(self[k]) <= 4096)",message="must be annotations: keys like team or example.com/team, values of at most 4096 characters"
	// +kubebuilder:default={}
	Annotations map[string]string `json:"annotations,omitempty"`
	// NodeSelector: labels that a node must have to run the pods, such as
	// {kubernetes.io/arch: arm64}.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue() && size(self[k]) <= 63)",message="must be labels: keys like team or example.com/team, values of at most 63 characters"
	// +kubebuilder:default={}
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of the pods, for nodes with taints.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Affinity of the pods.
	// +optional
	// +structType=atomic
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// ImagePullSecrets name Secrets in the pods' namespace, for a registry that
	// asks for credentials: [{name: registry}].
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`
	// ServiceAccountName of the pods. Absent means the namespace's default. Its
	// token is not mounted: workers do not speak to Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a ServiceAccount: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// WorkloadStatus is what the operator sees of a worker's Deployment.
type WorkloadStatus struct {
	// Name of the Deployment.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Replicas that the Deployment wants.
	// +required
	Replicas int32 `json:"replicas"`
	// ReadyReplicas that pass their readiness probe.
	// +required
	ReadyReplicas int32 `json:"readyReplicas"`
}
