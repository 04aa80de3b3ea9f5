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

// NamingPolicy says how names are given.
// +kubebuilder:validation:Enum=Rules;Free
type NamingPolicy string

// The policies.
const (
	// Names must lie in what the rules allow a namespace.
	NamingRules NamingPolicy = "Rules"
	// Any name that is not reserved is allowed.
	NamingFree NamingPolicy = "Free"
)

// Adoption says what becomes of ACL bindings that were there before a resource
// declared them.
// +kubebuilder:validation:Enum=Keep;Take
type Adoption string

// The adoptions.
const (
	// They stay when no resource declares them any more.
	AdoptionKeep Adoption = "Keep"
	// They are Weir's, and go when no resource declares them any more.
	AdoptionTake Adoption = "Take"
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

	// Naming says which topics, consumer groups and transactional ids the
	// resources of a namespace may name. Without a rule that selects it, a
	// namespace may name what begins with "<namespace>.". A name that a resource
	// has already stays its own when a rule changes.
	// +optional
	// +kubebuilder:default={}
	Naming ClusterNaming `json:"naming,omitzero"`

	// Adoption says what becomes of an ACL binding that was there before a
	// resource declared it, when no resource declares it any more: Keep leaves it,
	// Take removes it.
	// +optional
	// +kubebuilder:default=Keep
	Adoption Adoption `json:"adoption,omitempty"`

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

// ClusterNaming says which namespaces may use which names.
// +kubebuilder:validation:XValidation:rule="self.policy != 'Free' || !has(self.rules) || size(self.rules) == 0",fieldPath=".rules",message="rules have no meaning with policy: Free, which allows every name"
type ClusterNaming struct {
	// Policy is Rules, or Free: every name is allowed that is not reserved, as for
	// the way in from an estate that has other names.
	// +optional
	// +kubebuilder:default=Rules
	// +kubebuilder:validation:MaxLength=16
	Policy NamingPolicy `json:"policy,omitempty"`
	// Rules are added up for a namespace that several of them select. A namespace
	// that none selects may name ${namespace}.* of every kind.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Rules []NamingRule `json:"rules,omitempty"`
}

// NamingRule says what the namespaces that it selects may name. Each entry is a
// name, or a prefix with one * at its end; ${namespace} stands for the namespace.
type NamingRule struct {
	// Namespaces matches the labels of namespaces. Absent or {} matches every
	// namespace.
	// +optional
	Namespaces *NamespaceLabels `json:"namespaces,omitempty"`
	// Topics: ["${namespace}.*", "legacy-payments"].
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	Topics []NamePattern `json:"topics,omitempty"`
	// Groups: ["${namespace}.*", "payments-*"]. The dead letter topics of a group
	// need no entry of their own.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	Groups []NamePattern `json:"groups,omitempty"`
	// TransactionalIDs: ["payments-*"].
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	TransactionalIDs []NamePattern `json:"transactionalIds,omitempty"`
}

// NamespaceLabels choose namespaces.
type NamespaceLabels struct {
	// MatchLabels are labels that a namespace has, all of them. Every namespace
	// has the label kubernetes.io/metadata.name, its name.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:default={}
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
}

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// NamePattern is a name, or a prefix with one * at its end.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=249
// +kubebuilder:validation:Pattern=`^([^*$]|[$][{]namespace[}])*[*]?$`
type NamePattern string

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
	// moves failed records), RemovalHeld and RecordElsewhere (removals wait for
	// the platform's word), and while they are True Reconciling (Weir is at it) or
	// Stalled (somebody must act).
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
	// +kubebuilder:default=0
	Topics int32 `json:"topics"`
	// ACLBindings in Weir's record of this cluster.
	// +optional
	// +kubebuilder:default=0
	ACLBindings int32 `json:"aclBindings"`
	// PendingRemovals is how many ACL bindings and topics of Weir's nobody
	// declares any more, and are still to be removed.
	// +optional
	// +kubebuilder:default=0
	PendingRemovals int32 `json:"pendingRemovals"`
	// PendingSince is when the first of them began to wait.
	// +optional
	PendingSince *metav1.Time `json:"pendingSince,omitempty"`
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
