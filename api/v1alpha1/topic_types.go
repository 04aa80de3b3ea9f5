package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TopicConfig maps Kafka's topic configuration keys to values, as Kafka writes
// them.
// +kubebuilder:validation:MaxProperties=64
// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z][a-zA-Z0-9._-]{0,127}$'))",message="keys must be Kafka's topic configuration names, such as retention.ms"
// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 4096)",message="values may have at most 4096 characters"
type TopicConfig map[string]string

// DeletionPolicy says what becomes of data when its resource is deleted.
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The policies.
const (
	// The topic and its records are kept.
	Retain DeletionPolicy = "Retain"
	// The topic and its records are deleted.
	DeleteData DeletionPolicy = "Delete"
)

// Right is what a principal may do with a topic.
// +kubebuilder:validation:Enum=Produce;Consume
type Right string

// The rights.
const (
	// WRITE on the topic, which implies DESCRIBE.
	Produce Right = "Produce"
	// READ on the topic, which implies DESCRIBE.
	Consume Right = "Consume"
)

// Topic is a topic in Kafka: its partitions, its configuration, and who may
// write and read it.
//
// A topic that exists already is adopted. Deleting the resource keeps the
// topic and its records, unless spec.deletionPolicy says otherwise.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=weir,shortName=wt
// +kubebuilder:validation:XValidation:rule="has(self.spec.topicName) || size(self.metadata.name) <= 185",fieldPath=".spec.topicName",message="set topicName: with a name of more than 185 characters the default, <namespace>.<name>, may not fit Kafka's 249"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Grants",type=integer,priority=1,JSONPath=`.status.grants`
// +kubebuilder:printcolumn:name="Topic",type=string,priority=1,JSONPath=`.status.topicName`
// +kubebuilder:printcolumn:name="Partitions",type=integer,JSONPath=`.status.partitions`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Topic struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the team wants.
	// +optional
	// +kubebuilder:default={}
	Spec TopicSpec `json:"spec,omitzero"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status TopicStatus `json:"status,omitzero"`
}

// TopicSpec says what a topic is and who may use it.
// +kubebuilder:validation:XValidation:rule="has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)",fieldPath=".clusterRef",message="clusterRef is immutable: delete this resource (with deletionPolicy Retain the topic stays) and create it for the other cluster"
// +kubebuilder:validation:XValidation:rule="has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)",fieldPath=".topicName",message="topicName is immutable, since Kafka cannot rename a topic: create another Topic, and delete this one when nothing uses it"
// +kubebuilder:validation:XValidation:rule="!has(self.partitions) || !has(oldSelf.partitions) || self.partitions >= oldSelf.partitions",fieldPath=".partitions",message="partitions cannot shrink, since Kafka cannot remove partitions: write at least the former number"
type TopicSpec struct {
	// Suspend stops Weir from touching the topic and its grants. Deleting a
	// suspended Topic never deletes data.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// ClusterRef names the KafkaCluster. Absent means the one with the annotation
	// weir.dev/is-default-cluster: "true". Immutable.
	// +optional
	ClusterRef *ClusterReference `json:"clusterRef,omitempty"`

	// TopicName is the topic's name in Kafka: "shop.orders". Absent means
	// "<namespace>.<name>". It must be one that the cluster's naming allows this
	// namespace. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]*$')",message="topicName may have letters, digits, '.', '_' and '-' only"
	// +kubebuilder:validation:XValidation:rule="self != '.' && self != '..'",message="topicName cannot be '.' or '..'"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__')",message="topicName cannot begin with '__': such topics are Kafka's own"
	TopicName string `json:"topicName,omitempty"`

	// Partitions of the topic: 12. Absent means that Weir does not manage them; a
	// new topic then gets the cluster's default. They can grow, which moves keys
	// to other partitions, and never shrink.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Partitions *int32 `json:"partitions,omitempty"`

	// Replicas of each partition: 3. Absent means that Weir does not manage them;
	// a new topic then gets the cluster's default. Weir does not reassign
	// partitions: it refuses another number than the topic has, and names it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	Replicas *int32 `json:"replicas,omitempty"`

	// Config holds the topic configuration that Weir manages, by Kafka's keys:
	// {retention.ms: "604800000"}. Keys that are not here are not touched; a key
	// that leaves is reset to the broker's default if Weir had set it.
	// +optional
	// +kubebuilder:default={}
	Config TopicConfig `json:"config,omitempty"`

	// DeletionPolicy says what becomes of the topic when this resource is deleted.
	// Retain keeps it with its records; Delete deletes it, once no ConsumerGroup
	// and no OutboxRelay refers to it.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Access says which principals may do what on this topic. ConsumerGroups and
	// OutboxRelays that refer to this Topic bring their own grants and need no
	// entry. All entries together may name 256 groups and transactional ids.
	// +optional
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.map(a, (has(a.groups) ? size(a.groups) : 0) + (has(a.transactionalIds) ? size(a.transactionalIds) : 0)).sum() <= 256",message="names more than 256 groups and transactional ids: use prefixes, such as shop.billing-*"
	// +listType=atomic
	Access []Access `json:"access,omitempty"`

	// AllowedConsumers says whose ConsumerGroups may read this topic: those of
	// this namespace, and what is said here.
	// +optional
	// +kubebuilder:default={}
	AllowedConsumers AllowedNamespaces `json:"allowedConsumers,omitzero"`

	// AllowedProducers says whose OutboxRelays may publish to this topic: those of
	// this namespace, and what is said here.
	// +optional
	// +kubebuilder:default={}
	AllowedProducers AllowedNamespaces `json:"allowedProducers,omitzero"`
}

// Access grants rights on a topic to a principal.
// +kubebuilder:validation:XValidation:rule="!has(self.groups) || self.allow.exists(r, r == 'Consume')",fieldPath=".groups",message="groups are for consumers: add Consume to allow, or drop groups"
// +kubebuilder:validation:XValidation:rule="!has(self.transactionalIds) || self.allow.exists(r, r == 'Produce')",fieldPath=".transactionalIds",message="transactionalIds are for producers: add Produce to allow, or drop transactionalIds"
type Access struct {
	// Principal as Kafka's ACLs write it: "User:checkout". "User:*" is everybody.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^User:.')",message="must be User:<name>, as in Kafka's ACLs"
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\pC\p{Zl}\p{Zp}]*$')`,message="must be of printable characters"
	Principal string `json:"principal"`
	// Allow is Produce (WRITE on the topic), Consume (READ on the topic), or both.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	Allow []Right `json:"allow"`
	// Groups that a consumer may be a member of (READ): ["shop.audit"].
	// A trailing * makes a prefix, and a lone * is every group. They must lie in
	// what the cluster's naming allows this namespace.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=249
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([^*]+[*]?|[*])$')",message="must be a group, or a prefix with one * at its end"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^\pC\p{Zl}\p{Zp}]*$')`,message="must be of printable characters"
	// +listType=set
	Groups []string `json:"groups,omitempty"`
	// TransactionalIDs that a producer may use (WRITE): ["shop.ledger-*"].
	// A trailing * makes a prefix, and a lone * is every transactional id. They
	// must lie in what the cluster's naming allows this namespace.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=249
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([^*]+[*]?|[*])$')",message="must be a transactional id, or a prefix with one * at its end"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^\pC\p{Zl}\p{Zp}]*$')`,message="must be of printable characters"
	// +listType=set
	TransactionalIDs []string `json:"transactionalIds,omitempty"`
}

// TopicStatus is what Weir sees of a topic.
type TopicStatus struct {
	// ObservedGeneration is the generation that the conditions speak of; -1 until
	// Weir has looked.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready (the topic is as this resource says), AccessEnforced (the
	// cluster has an authorizer, so grants mean something), and while they are
	// True Reconciling (Weir is at it) or Stalled (somebody must act).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Cluster is the KafkaCluster that this resource lives on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster,omitempty"`
	// TopicName is the topic's name in Kafka, from the time when this resource
	// owns it.
	// +optional
	// +kubebuilder:validation:MaxLength=249
	TopicName string `json:"topicName,omitempty"`
	// TopicID is Kafka's identity of the topic; a topic that was deleted and
	// created again has another one.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TopicID string `json:"topicId,omitempty"`
	// Partitions that the topic has.
	// +optional
	Partitions int32 `json:"partitions,omitempty"`
	// Replicas that the topic's partitions have.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// Grants is the number of ACL bindings that spec.access asks for.
	// +optional
	Grants int32 `json:"grants,omitempty"`
}

// TopicList is a list of Topics.
// +kubebuilder:object:root=true
type TopicList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Topic `json:"items"`
}

// ConfigValue is a value of a topic's configuration.
//
// +kubebuilder:validation:MaxLength=4096
type ConfigValue string
