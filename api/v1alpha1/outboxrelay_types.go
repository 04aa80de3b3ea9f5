package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DatabaseEngine is the kind of a database.
// +kubebuilder:validation:Enum=Postgres
type DatabaseEngine string

// EnginePostgres is PostgreSQL 14 or newer.
const EnginePostgres DatabaseEngine = "Postgres"

// CaptureMode is how rows are found.
// +kubebuilder:validation:Enum=Polling
type CaptureMode string

// CapturePolling reads the table.
const CapturePolling CaptureMode = "Polling"

// AfterPublish is what becomes of a row whose record was acknowledged.
// +kubebuilder:validation:Enum=Delete;Mark
type AfterPublish string

// The ways to settle a row.
const (
	// The row is deleted.
	DeleteRow AfterPublish = "Delete"
	// SENT is written into columns.status, and the time into columns.publishedAt.
	MarkRow AfterPublish = "Mark"
)

// OutboxRelay publishes the rows of an outbox table to Kafka: at least once,
// in order per key, without loss.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=weir,shortName=obr
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 51",fieldPath=".metadata",message="name may have at most 51 characters, since weir-outbox-<name> becomes a label"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pendingRows`
// +kubebuilder:printcolumn:name="Backlogged",type=string,JSONPath=`.status.conditions[?(@.type=="Backlogged")].status`
// +kubebuilder:printcolumn:name="Last-Published",type=date,JSONPath=`.status.lastPublishedTime`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type OutboxRelay struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the team wants.
	// +required
	Spec OutboxRelaySpec `json:"spec"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status OutboxRelayStatus `json:"status,omitzero"`
}

// OutboxRelaySpec says which table is published to which topics, and as whom.
// +kubebuilder:validation:XValidation:rule="has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)",fieldPath=".clusterRef",message="clusterRef is immutable: delete this resource (the rows stay) and create it for the other cluster"
// +kubebuilder:validation:XValidation:rule="self.afterPublish != 'Mark' || has(self.outbox.columns.status)",fieldPath=".outbox.columns.status",message="afterPublish: Mark needs outbox.columns.status, the column that holds PENDING, SENT or FAILED"
// +kubebuilder:validation:XValidation:rule="self.afterPublish == 'Mark' || (!has(self.outbox.columns.status) && !has(self.outbox.columns.publishedAt))",fieldPath=".outbox.columns",message="status and publishedAt are written by afterPublish: Mark only: set that, or drop them"
type OutboxRelaySpec struct {
	// Suspend stops Weir from touching the relay: its worker, if there is one,
	// runs on as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// ClusterRef names the KafkaCluster. Absent means the one with the annotation
	// weir.dev/is-default-cluster: "true". Immutable.
	// +optional
	ClusterRef *ClusterReference `json:"clusterRef,omitempty"`

	// Database says where the outbox is.
	// +required
	Database Database `json:"database"`

	// Outbox describes the table. Absent means public.outbox with Debezium's
	// columns, and seq.
	// +optional
	// +kubebuilder:default={}
	Outbox Outbox `json:"outbox,omitzero"`

	// Capture says how rows are found.
	// +optional
	// +kubebuilder:default={}
	Capture Capture `json:"capture,omitzero"`

	// AfterPublish is what becomes of a row after its record was acknowledged.
	// Delete deletes it; Mark writes SENT into outbox.columns.status.
	// +optional
	// +kubebuilder:default=Delete
	AfterPublish AfterPublish `json:"afterPublish,omitempty"`

	// Routes say which rows go to which topic; the first match wins. A row without
	// a match stops the relay in front of it, and the status says which row.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(r, !has(r.aggregateType) || self.exists_one(s, has(s.aggregateType) && s.aggregateType == r.aggregateType))",message="an aggregateType has two routes, and the second would never be used: drop one"
	// +kubebuilder:validation:XValidation:rule="!self.exists(r, !has(r.aggregateType)) || (self.exists_one(r, !has(r.aggregateType)) && !has(self[size(self) - 1].aggregateType))",message="a route without aggregateType matches every row, so those after it would never be used: let it be the last"
	// +listType=atomic
	Routes []Route `json:"routes"`

	// Kafka is the relay's identity; its Secret is in this namespace.
	// +required
	Kafka KafkaCredentials `json:"kafka"`

	// Replicas of the worker: one is active, the others stand by. 0 stops
	// publishing; rows wait.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
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

// Database says where an outbox is.
type Database struct {
	// Engine is Postgres: version 14 or newer.
	// +optional
	// +kubebuilder:default=Postgres
	Engine DatabaseEngine `json:"engine,omitempty"`
	// ConnectionSecretRef names the Secret key, in this namespace, that holds a
	// connection URI as CloudNativePG writes it:
	// postgresql://user:password@host:5432/database.
	// +required
	ConnectionSecretRef SecretKeyReference `json:"connectionSecretRef"`
}

// Outbox describes an outbox table.
type Outbox struct {
	// Table is "schema.table", or "table" in the schema public: each as the
	// catalog has it, or in quotes as SQL writes it.
	// +optional
	// +kubebuilder:default=public.outbox
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^.]{1,63}([.][^.]{1,63})?$')",message="must be table or schema.table, each of 1 to 63 characters"
	Table string `json:"table,omitempty"`
	// Columns of the table. The defaults are those of Debezium's outbox table, and
	// seq.
	// +optional
	// +kubebuilder:default={}
	Columns OutboxColumns `json:"columns,omitzero"`
}

// OutboxColumns names the columns of an outbox table.
type OutboxColumns struct {
	// ID identifies the event; it becomes the header "id", by which consumers can
	// drop duplicates.
	// +optional
	// +kubebuilder:default=id
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id,omitempty"`
	// AggregateType chooses the route.
	// +optional
	// +kubebuilder:default=aggregatetype
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	AggregateType string `json:"aggregateType,omitempty"`
	// AggregateID becomes the record's key; events of one key stay in order.
	// +optional
	// +kubebuilder:default=aggregateid
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	AggregateID string `json:"aggregateId,omitempty"`
	// Type of the event; it becomes the header "type".
	// +optional
	// +kubebuilder:default=type
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Type string `json:"type,omitempty"`
	// Payload becomes the record's value: a column of type json, jsonb, text or
	// bytea.
	// +optional
	// +kubebuilder:default=payload
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Payload string `json:"payload,omitempty"`
	// Sequence orders the rows: an identity or serial column, without CACHE.
	// +optional
	// +kubebuilder:default=seq
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Sequence string `json:"sequence,omitempty"`
	// CreatedAt is a timestamptz column: "created_at". It becomes the record's
	// timestamp, and tells the age of waiting rows. Absent means that the
	// timestamp is the time of publishing, and the age is not known.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	CreatedAt string `json:"createdAt,omitempty"`
	// Headers is a json or jsonb column that holds an object of strings:
	// {"tenant": "a"}. They become headers of the record. Absent means none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Headers string `json:"headers,omitempty"`
	// Status is the text column that holds PENDING, SENT or FAILED. Needed by
	// afterPublish Mark, and used by it only.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Status string `json:"status,omitempty"`
	// PublishedAt is a timestamptz column that afterPublish Mark writes the time
	// into. Absent means that the time is not kept.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PublishedAt string `json:"publishedAt,omitempty"`
}

// Capture says how rows are found.
type Capture struct {
	// Mode is Polling: the table is read again and again.
	// +optional
	// +kubebuilder:default=Polling
	Mode CaptureMode `json:"mode,omitempty"`
	// Polling tunes the mode Polling.
	// +optional
	// +kubebuilder:default={}
	Polling Polling `json:"polling,omitzero"`
}

// Polling tunes how the table is read.
type Polling struct {
	// MaxInterval is the longest wait between two looks at an idle table, from 5ms
	// to 1m: 500ms. A busy table is read without waiting.
	// +optional
	// +kubebuilder:default="500ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('5ms') && duration(self) <= duration('1m')",message="must be a duration from 5ms to 1m, such as 500ms"
	MaxInterval metav1.Duration `json:"maxInterval,omitzero"`
	// BatchSize is how many rows at most are read, published and settled together.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	BatchSize int32 `json:"batchSize,omitempty"`
}

// Route sends rows to a topic.
type Route struct {
	// AggregateType of the rows that this route is for, compared exactly: "order".
	// Absent matches every row.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	AggregateType string `json:"aggregateType,omitempty"`
	// TopicRef names the Topic resource whose topic the rows go to.
	// +required
	TopicRef TopicReference `json:"topicRef"`
}

// OutboxRelayStatus is what Weir sees of a relay.
type OutboxRelayStatus struct {
	// ObservedGeneration is the generation that the conditions speak of; -1 until
	// Weir has looked.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready (publishing, or nothing to publish), Backlogged (rows wait
	// longer than they should), and while they are True Reconciling (Weir is at
	// it) or Stalled (somebody must act).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Cluster is the KafkaCluster that this resource lives on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster,omitempty"`
	// CaptureMode that is in use.
	// +optional
	CaptureMode CaptureMode `json:"captureMode,omitempty"`
	// PendingRows wait to be published: exact to 1,000, then rounded to two
	// digits. Written at most once a minute unless a condition changes; absent
	// while unknown.
	// +optional
	PendingRows *int64 `json:"pendingRows,omitempty"`
	// OldestPendingSeconds is the age of the oldest waiting row, by the database's
	// clock; absent while unknown, and without columns.createdAt.
	// +optional
	OldestPendingSeconds *int64 `json:"oldestPendingSeconds,omitempty"`
	// LastPublishedTime is when a record was last acknowledged.
	// +optional
	LastPublishedTime *metav1.Time `json:"lastPublishedTime,omitempty"`
	// Workload is the worker's Deployment.
	// +optional
	Workload *WorkloadStatus `json:"workload,omitempty"`
}

// OutboxRelayList is a list of OutboxRelays.
// +kubebuilder:object:root=true
type OutboxRelayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OutboxRelay `json:"items"`
}
