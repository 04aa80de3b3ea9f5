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
	// DeleteRow deletes it.
	DeleteRow AfterPublish = "Delete"
	// MarkRow writes SENT into columns.status, and the time into columns.publishedAt.
	MarkRow AfterPublish = "Mark"
)

// OutboxRelay publishes the rows of an outbox table to Kafka: at least once, in order per key, without loss.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=weir,shortName=obr
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
	Status OutboxRelayStatus `json:"status,omitempty"`
}

// OutboxRelaySpec says which table is published to which topics, and as whom.
// +kubebuilder:validation:XValidation:rule="has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)",fieldPath=".clusterRef",message="clusterRef is immutable: delete this resource (the rows stay) and create it for the other cluster"
// +kubebuilder:validation:XValidation:rule="self.afterPublish != 'Mark' || has(self.outbox.columns.status)",fieldPath=".outbox.columns.status",message="afterPublish Mark needs outbox.columns.status, the column that holds PENDING, SENT or FAILED"
// +kubebuilder:validation:XValidation:rule="self.afterPublish == 'Mark' || (!has(self.outbox.columns.status) && !has(self.outbox.columns.publishedAt))",fieldPath=".outbox.columns",message="columns.status and columns.publishedAt need afterPublish Mark"
type OutboxRelaySpec struct {
	// Suspend stops Weir from touching the relay: its worker, if there is one, runs on as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// ClusterRef names the KafkaCluster; absent means the one annotated weir.dev/is-default-cluster: "true". Immutable.
	// +optional
	ClusterRef *ClusterReference `json:"clusterRef,omitempty"`

	// Database says where the outbox is.
	// +required
	Database Database `json:"database"`

	// Outbox describes the table.
	// +optional
	// +kubebuilder:default={}
	Outbox Outbox `json:"outbox,omitempty"`

	// Capture says how rows are found.
	// +optional
	// +kubebuilder:default={}
	Capture Capture `json:"capture,omitempty"`

	// AfterPublish is what becomes of a row after its record was acknowledged: Delete deletes it, Mark writes SENT
	// into outbox.columns.status.
	// +optional
	// +kubebuilder:default=Delete
	AfterPublish AfterPublish `json:"afterPublish,omitempty"`

	// Routes say which rows go to which topic; the first match wins. A row without a match stops the relay in front
	// of it, and the status says which row.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	Routes []Route `json:"routes"`

	// Kafka is the relay's identity; its Secret is in this namespace.
	// +required
	Kafka KafkaCredentials `json:"kafka"`

	// Replicas of the worker: one is active, the others stand by. 0 stops publishing; rows wait.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Replicas *int32 `json:"replicas,omitempty"`

	// Resources of the worker's container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// PodTemplate adjusts the worker's pods.
	// +optional
	PodTemplate PodTemplate `json:"podTemplate,omitempty"`
}

// Database says where an outbox is.
type Database struct {
	// Engine is Postgres.
	// +optional
	// +kubebuilder:default=Postgres
	Engine DatabaseEngine `json:"engine,omitempty"`
	// ConnectionSecretRef names the Secret key that holds a connection URI, as CloudNativePG writes it:
	// postgresql://user:password@host:5432/database.
	// +required
	ConnectionSecretRef SecretKeyReference `json:"connectionSecretRef"`
}

// Outbox describes an outbox table.
type Outbox struct {
	// Table is "schema.table", or "table" in the schema public.
	// +optional
	// +kubebuilder:default=public.outbox
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:Pattern=`^[^.]+(\.[^.]+)?$`
	Table string `json:"table,omitempty"`
	// Columns of the table; the defaults are those of Debezium's outbox table, and seq.
	// +optional
	// +kubebuilder:default={}
	Columns OutboxColumns `json:"columns,omitempty"`
}

// OutboxColumns names the columns of an outbox table.
type OutboxColumns struct {
	// ID identifies the event; it becomes the header "id", by which consumers can drop duplicates.
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
	// Payload becomes the record's value: json, jsonb, text or bytea.
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
	// CreatedAt, where set, names a timestamptz column: the record's timestamp, and the age of waiting rows.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	CreatedAt string `json:"createdAt,omitempty"`
	// Headers, where set, names a json or jsonb column: an object of strings that become headers of the record.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Headers string `json:"headers,omitempty"`
	// Status names the text column that holds PENDING, SENT or FAILED; needed by afterPublish Mark.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Status string `json:"status,omitempty"`
	// PublishedAt, where set, names a timestamptz column that afterPublish Mark writes the time into.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PublishedAt string `json:"publishedAt,omitempty"`
}

// Capture says how rows are found.
type Capture struct {
	// Mode is Polling.
	// +optional
	// +kubebuilder:default=Polling
	Mode CaptureMode `json:"mode,omitempty"`
	// Polling tunes the mode Polling.
	// +optional
	// +kubebuilder:default={}
	Polling Polling `json:"polling,omitempty"`
}

// Polling tunes how the table is read.
type Polling struct {
	// MaxInterval is the longest wait between two looks at an idle table, between 5ms and 1m; a busy table is read
	// without waiting.
	// +optional
	// +kubebuilder:default="500ms"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5ms') && duration(self) <= duration('1m')",message="maxInterval must be between 5ms and 1m"
	MaxInterval metav1.Duration `json:"maxInterval,omitempty"`
	// BatchSize is the most rows that are read, published and settled together.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	BatchSize int32 `json:"batchSize,omitempty"`
}

// Route sends rows to a topic.
type Route struct {
	// AggregateType that this route is for, compared exactly; absent matches every row.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	AggregateType string `json:"aggregateType,omitempty"`
	// TopicRef names the Topic resource that the rows go to.
	// +required
	TopicRef TopicReference `json:"topicRef"`
}

// OutboxRelayStatus is what Weir sees of a relay.
type OutboxRelayStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, Backlogged, and while they are True Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Cluster is the KafkaCluster that this resource lives on. It stays the same when another one becomes the default.
	// +optional
	Cluster string `json:"cluster,omitempty"`
	// CaptureMode in use.
	// +optional
	CaptureMode CaptureMode `json:"captureMode,omitempty"`
	// PendingRows wait to be published: exact to 1,000, then rounded to two digits. Written at most once a minute
	// unless a condition changes; absent while unknown.
	// +optional
	PendingRows *int64 `json:"pendingRows,omitempty"`
	// OldestPendingSeconds is the age of the oldest waiting row, by the database's clock; absent while unknown, and
	// without columns.createdAt.
	// +optional
	OldestPendingSeconds *int64 `json:"oldestPendingSeconds,omitempty"`
	// LastPublishedTime is when a record was last acknowledged.
	// +optional
	LastPublishedTime *metav1.Time `json:"lastPublishedTime,omitempty"`
	// Workload is the worker's Deployment.
	// +optional
	Workload *WorkloadStatus `json:"workload,omitempty"`
	// ManagedBindings are the ACL bindings that Weir has made, and removes when nothing needs them any more.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32768
	ManagedBindings []string `json:"managedBindings,omitempty"`
}

// OutboxRelayList is a list of OutboxRelays.
// +kubebuilder:object:root=true
type OutboxRelayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OutboxRelay `json:"items"`
}
