package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SASLMechanism is how a client proves who it is.
// +kubebuilder:validation:Enum=Plain;ScramSHA256;ScramSHA512
type SASLMechanism string

// The mechanisms.
const (
	SASLPlain       SASLMechanism = "Plain"
	SASLScramSHA256 SASLMechanism = "ScramSHA256"
	SASLScramSHA512 SASLMechanism = "ScramSHA512"
)

// TopicNaming is a rule for the names of topics.
// +kubebuilder:validation:Enum=Namespaced;Free
type TopicNaming string

// The rules.
const (
	// NamingNamespaced: names default to "<namespace>.<name>" and must begin with "<namespace>.".
	NamingNamespaced TopicNaming = "Namespaced"
	// NamingFree: names default to "<name>"; any name is allowed.
	NamingFree TopicNaming = "Free"
)

// KafkaCluster says where a Kafka cluster is, how to reach it, and which namespaces may use it.
//
// It belongs to the platform team and is cluster-scoped. Secrets that it refers to are in the operator's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=weir,shortName=kcl
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Brokers",type=integer,JSONPath=`.status.brokers`
// +kubebuilder:printcolumn:name="Topics",type=integer,JSONPath=`.status.topics`
// +kubebuilder:printcolumn:name="Authorizer",type=string,JSONPath=`.status.authorizer`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KafkaCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the platform team wants.
	// +required
	Spec KafkaClusterSpec `json:"spec"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status KafkaClusterStatus `json:"status,omitempty"`
}

// KafkaClusterSpec says where a cluster is, how to reach it, and who may use it.
type KafkaClusterSpec struct {
	// Suspend stops Weir from touching this cluster and everything that lives on it.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// BootstrapServers are host:port addresses of one or more brokers; the others are found through them.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=260
	// +kubebuilder:validation:items:Pattern=`^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+):[0-9]{1,5}$`
	// +listType=atomic
	BootstrapServers []string `json:"bootstrapServers"`

	// ClusterID, where set, is a guard: Weir refuses to act if the brokers report another cluster ID. The ID of a
	// connected cluster is in status.clusterId.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ClusterID string `json:"clusterId,omitempty"`

	// TLS encrypts the connection; absent means plaintext.
	// +optional
	TLS *KafkaTLS `json:"tls,omitempty"`

	// SASL authenticates the operator; absent means no SASL (a client certificate, or an open cluster).
	// +optional
	SASL *KafkaSASL `json:"sasl,omitempty"`

	// Namespaces says which namespaces may use this cluster.
	// +optional
	// +kubebuilder:default={from: All}
	Namespaces ClusterNamespaces `json:"namespaces,omitempty"`

	// TopicNaming is Namespaced (a topic is named "<namespace>.<name>" and spec.topicName must stay inside
	// "<namespace>.") or Free (no rule). It applies to topics that are declared from then on.
	// +optional
	// +kubebuilder:default=Namespaced
	TopicNaming TopicNaming `json:"topicNaming,omitempty"`

	// Defaults are used for a Topic that is silent, when its topic is created. They are not enforced afterwards.
	// +optional
	Defaults TopicDefaults `json:"defaults,omitempty"`

	// RetryWorker configures the worker that moves failed records of all groups with a DeadLetterPolicy on this cluster.
	// It runs in the operator's namespace as soon as there is such a group.
	// +optional
	RetryWorker *RetryWorkerSpec `json:"retryWorker,omitempty"`
}

// KafkaTLS says how a connection is encrypted.
type KafkaTLS struct {
	// CASecretRef names the PEM certificates that sign the brokers'; absent means the system's roots.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// ClientSecretRef names a Secret with the keys tls.crt and tls.key, the client certificate for mTLS.
	// +optional
	ClientSecretRef *SecretReference `json:"clientSecretRef,omitempty"`
}

// KafkaSASL says how the operator authenticates.
type KafkaSASL struct {
	// Mechanism is Plain, ScramSHA256 or ScramSHA512. Workers on this cluster use it too.
	// +required
	Mechanism SASLMechanism `json:"mechanism"`
	// SecretRef names a Secret with the keys username and password.
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// ClusterNamespaces says which namespaces may use a cluster.
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",fieldPath=".selector",message="selector is required when from is Selector, and only then"
type ClusterNamespaces struct {
	// From is All, or Selector (namespaces whose labels match selector).
	// +optional
	// +kubebuilder:validation:Enum=All;Selector
	// +kubebuilder:default=All
	From NamespacesFrom `json:"from,omitempty"`
	// Selector matches the labels of namespaces.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// TopicDefaults are what a new topic gets where its Topic is silent.
type TopicDefaults struct {
	// Partitions of a new topic; the broker's num.partitions if absent.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Partitions *int32 `json:"partitions,omitempty"`
	// Replicas of a new topic; the broker's default.replication.factor if absent.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	Replicas *int32 `json:"replicas,omitempty"`
	// Config of a new topic: Kafka's topic configuration keys.
	// +optional
	Config TopicConfig `json:"config,omitempty"`
}

// RetryWorkerSpec configures the retry worker of a cluster.
type RetryWorkerSpec struct {
	// Kafka is the worker's own identity; its Secret is in the operator's namespace. Weir grants it what it needs.
	// Without it the worker uses the operator's credentials, and no grants are made.
	// +optional
	Kafka *KafkaCredentials `json:"kafka,omitempty"`
	// Replicas share the work, by partition.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`
	// Resources of the worker's container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// PodTemplate adjusts the worker's pods.
	// +optional
	PodTemplate PodTemplate `json:"podTemplate,omitempty"`
}

// Authorizer says whether a cluster enforces ACLs.
type Authorizer string

// The states of an authorizer.
const (
	AuthorizerEnabled  Authorizer = "Enabled"
	AuthorizerDisabled Authorizer = "Disabled"
)

// KafkaClusterStatus is what Weir sees of a cluster.
type KafkaClusterStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, and while they are True Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ClusterID as the brokers report it.
	// +optional
	ClusterID string `json:"clusterId,omitempty"`
	// Brokers that are registered.
	// +optional
	Brokers int32 `json:"brokers,omitempty"`
	// Authorizer is Enabled or Disabled. Without one, topics work and grants are not enforced.
	// +optional
	Authorizer Authorizer `json:"authorizer,omitempty"`
	// Topics of this cluster that Topic resources claim.
	// +optional
	Topics int32 `json:"topics,omitempty"`
	// ACLBindings that Weir has made on this cluster.
	// +optional
	ACLBindings int32 `json:"aclBindings,omitempty"`
	// ManagedBindings are the ACL bindings that Weir has made for the retry worker of this cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	ManagedBindings []string `json:"managedBindings,omitempty"`
	// RetryWorker is the Deployment of the retry worker, where there is one.
	// +optional
	RetryWorker *WorkloadStatus `json:"retryWorker,omitempty"`
}

// KafkaClusterList is a list of KafkaClusters.
// +kubebuilder:object:root=true
type KafkaClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KafkaCluster `json:"items"`
}
