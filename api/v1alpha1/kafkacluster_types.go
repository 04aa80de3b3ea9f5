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
	// PLAIN: the password itself is sent, so use it with TLS only.
	SASLPlain SASLMechanism = "Plain"
	// SCRAM-SHA-256.
	SASLScramSHA256 SASLMechanism = "ScramSHA256"
	// SCRAM-SHA-512.
	SASLScramSHA512 SASLMechanism = "ScramSHA512"
)

// TopicNaming is a rule for the names of topics.
// +kubebuilder:validation:Enum=Namespaced;Free
type TopicNaming string

// The rules.
const (
	// Names default to "<namespace>.<name>" and must begin with "<namespace>.".
	NamingNamespaced TopicNaming = "Namespaced"
	// Names default to "<name>"; any name is allowed.
	NamingFree TopicNaming = "Free"
)

// KafkaCluster says where a Kafka cluster is, how to reach it, and which
// namespaces may use it.
//
// It belongs to the platform team and is cluster-scoped. Secrets that it
// refers to are in the operator's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=weir,shortName=kcl
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",fieldPath=".metadata",message="name may have at most 52 characters, since weir-retry-<name> becomes a label"
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
	Status KafkaClusterStatus `json:"status,omitzero"`
}

// KafkaClusterSpec says where a cluster is, how to reach it, and who may use
// it.
type KafkaClusterSpec struct {
	// Suspend stops Weir from touching this cluster and everything that lives on
	// it.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// BootstrapServers are addresses of one or more brokers, through which the
	// others are found: ["kafka-bootstrap.kafka.svc:9092"].
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=260
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([[][0-9a-fA-F:.]+[]]|[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?):[0-9]{1,5}$') && int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",message="must be host:port, such as kafka-bootstrap.kafka.svc:9092"
	// +listType=atomic
	BootstrapServers []string `json:"bootstrapServers"`

	// ClusterID is a guard: where it is set, Weir refuses to act if the brokers
	// report another cluster ID. The ID of a connected cluster is in
	// status.clusterId.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ClusterID string `json:"clusterId,omitempty"`

	// TLS encrypts the connection. Absent means plaintext; {} means TLS with the
	// system's roots.
	// +optional
	// +structType=atomic
	TLS *KafkaTLS `json:"tls,omitempty"`

	// SASL authenticates the operator. Absent means no SASL: a client certificate,
	// or a cluster that is open.
	// +optional
	SASL *KafkaSASL `json:"sasl,omitempty"`

	// Namespaces says which namespaces may use this cluster: all of them, unless
	// it says otherwise.
	// +optional
	// +kubebuilder:default={from: All}
	Namespaces ClusterNamespaces `json:"namespaces,omitzero"`

	// TopicNaming is Namespaced (a topic's name is "<namespace>.<name>", and a
	// spec.topicName must begin with "<namespace>.") or Free (the name is
	// "<name>", and spec.topicName may be any). It applies to Topics that are made
	// from then on.
	// +optional
	// +kubebuilder:default=Namespaced
	TopicNaming TopicNaming `json:"topicNaming,omitempty"`

	// Defaults are for a Topic that is silent, when its topic is created. They are
	// not enforced afterwards.
	// +optional
	// +kubebuilder:default={}
	Defaults TopicDefaults `json:"defaults,omitzero"`

	// RetryWorker configures the worker that moves the failed records of all
	// groups with a DeadLetterPolicy on this cluster. It runs in the operator's
	// namespace as soon as there is such a group. Absent on a cluster that asks
	// for credentials, there is no worker, and failed records wait.
	// +optional
	RetryWorker *RetryWorkerSpec `json:"retryWorker,omitempty"`
}

// KafkaTLS says how a connection is encrypted.
type KafkaTLS struct {
	// CASecretRef names the PEM certificates that sign the brokers', in the
	// operator's namespace. Absent means the system's roots.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// ClientSecretRef names a Secret with the keys tls.crt and tls.key, the client
	// certificate for mTLS, in the operator's namespace.
	// +optional
	ClientSecretRef *SecretReference `json:"clientSecretRef,omitempty"`
}

// KafkaSASL says how the operator authenticates.
type KafkaSASL struct {
	// Mechanism is Plain, ScramSHA256 or ScramSHA512. Workers on this cluster use
	// it too.
	// +required
	Mechanism SASLMechanism `json:"mechanism"`
	// SecretRef names a Secret with the keys username and password, in the
	// operator's namespace.
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// ClusterNamespaces says which namespaces may use a cluster.
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",fieldPath=".selector",message="selector goes with from: Selector, and from: Selector with a selector"
type ClusterNamespaces struct {
	// From is All, or Selector (namespaces whose labels match selector).
	// +optional
	// +kubebuilder:default=All
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self != 'Same'",message="must be All or Selector, since a cluster has no namespace of its own"
	From NamespacesFrom `json:"from,omitempty"`
	// Selector matches the labels of namespaces. Every namespace has the label
	// kubernetes.io/metadata.name, its name.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="is empty, which would match every namespace: name labels, or write from: All"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'] && (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",fieldPath=".matchExpressions",message="each needs an operator, In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// TopicDefaults are what a new topic gets where its Topic is silent.
type TopicDefaults struct {
	// Partitions of a new topic: 6. Absent means the broker's num.partitions.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Partitions *int32 `json:"partitions,omitempty"`
	// Replicas of a new topic: 3. Absent means the broker's
	// default.replication.factor.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	Replicas *int32 `json:"replicas,omitempty"`
	// Config of a new topic, by Kafka's keys: {min.insync.replicas: "2"}.
	// +optional
	// +kubebuilder:default={}
	Config TopicConfig `json:"config,omitempty"`
}

// RetryWorkerSpec configures the retry worker of a cluster.
type RetryWorkerSpec struct {
	// Kafka is the worker's own identity; its Secret is in the operator's
	// namespace. Weir grants it what it needs. The operator's own credentials are
	// never given to a worker.
	// +required
	Kafka KafkaCredentials `json:"kafka"`
	// Replicas share the work, by partition. 0 stops it: failed records wait where
	// they are.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`
	// Resources of the worker's container.
	// +optional
	// +structType=atomic
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
	// PodTemplate adjusts the worker's pods.
	// +optional
	// +kubebuilder:default={}
	PodTemplate PodTemplate `json:"podTemplate,omitzero"`
}

// Authorizer says whether a cluster enforces ACLs.
type Authorizer string

// The states of an authorizer.
const (
	// Grants are enforced.
	AuthorizerEnabled Authorizer = "Enabled"
	// Everybody may do everything.
	AuthorizerDisabled Authorizer = "Disabled"
)

// KafkaClusterStatus is what Weir sees of a cluster.
type KafkaClusterStatus struct {
	// ObservedGeneration is the generation that the conditions speak of; -1 until
	// Weir has looked.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready (the brokers answer, accept the credentials and report the
	// right cluster ID), RetryWorkerReady (where there is a retry worker: it
	// moves failed records), and while they are True Reconciling (Weir is at it)
	// or Stalled (somebody must act).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ClusterID as the brokers report it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ClusterID string `json:"clusterId,omitempty"`
	// Brokers that are registered.
	// +optional
	Brokers int32 `json:"brokers,omitempty"`
	// Authorizer is Enabled or Disabled. Without one, topics work and grants are
	// not enforced.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Authorizer Authorizer `json:"authorizer,omitempty"`
	// Topics of this cluster that Topic resources claim.
	// +optional
	Topics int32 `json:"topics"`
	// ACLBindings that Weir has made on this cluster.
	// +optional
	ACLBindings int32 `json:"aclBindings"`
	// ManagedBindings are the ACL bindings that Weir has made for the retry worker
	// of this cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	// +kubebuilder:validation:items:MaxLength=1024
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
