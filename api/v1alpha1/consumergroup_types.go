package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConsumerGroup is the contract for a reader: who reads what, how far behind
// it may be, and what happens to records that it fails on. Kafka's group
// itself is created by its clients.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=weir,shortName=cg
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",fieldPath=".metadata",message="name may have at most 63 characters, since it becomes a label: a longer group.id goes into spec.groupId"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Lagging",type=string,JSONPath=`.status.conditions[?(@.type=="Lagging")].status`
// +kubebuilder:printcolumn:name="Lag",type=integer,JSONPath=`.status.lag.records`
// +kubebuilder:printcolumn:name="Seconds",type=integer,JSONPath=`.status.lag.timeSeconds`
// +kubebuilder:printcolumn:name="DLT",type=integer,JSONPath=`.status.deadLetters.depth`
// +kubebuilder:printcolumn:name="State",type=string,priority=1,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConsumerGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the team wants.
	// +required
	Spec ConsumerGroupSpec `json:"spec"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ConsumerGroupStatus `json:"status,omitzero"`
}

// ConsumerGroupSpec says who reads what, and how far behind it may be.
// +kubebuilder:validation:XValidation:rule="has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)",fieldPath=".clusterRef",message="clusterRef is immutable: delete this resource and create it for the other cluster"
// +kubebuilder:validation:XValidation:rule="has(self.groupId) == has(oldSelf.groupId) && (!has(self.groupId) || self.groupId == oldSelf.groupId)",fieldPath=".groupId",message="groupId is immutable, since the group's offsets and dead letters are kept under it: create another ConsumerGroup"
type ConsumerGroupSpec struct {
	// Suspend stops Weir from touching anything for this group. Grants and topics
	// stay as they are.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// ClusterRef names the KafkaCluster. Absent means the one with the annotation
	// weir.dev/is-default-cluster: "true". Immutable.
	// +optional
	ClusterRef *ClusterReference `json:"clusterRef,omitempty"`

	// GroupID is the group.id that the clients use: "finance.billing". Absent
	// means "<namespace>.<name>". It must be one that the cluster's naming allows
	// this namespace. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]*$')",message="groupId may have letters, digits, '.', '_' and '-' only, since topics are named after it"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__')",message="groupId cannot begin with '__': such names are Kafka's own, and topics are named after it"
	GroupID string `json:"groupId,omitempty"`

	// Principal that the clients authenticate as, as Kafka's ACLs write it:
	// "User:billing". Weir grants it READ on the group and on the topics, and what
	// the dead letter policy needs.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^User:.') && self != 'User:*'",message="must be User:<name>, one user and not User:*"
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\pC\p{Zl}\p{Zp}]*$')`,message="must be of printable characters"
	Principal string `json:"principal"`

	// Topics that the group reads: Topic resources. Those in another namespace
	// must allow it in spec.allowedConsumers.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u == t))",message="names a Topic twice: drop one"
	// +listType=atomic
	Topics []TopicReference `json:"topics"`

	// Lag is how far behind the group may be. Absent means that lag is shown and
	// never judged.
	// +optional
	// +kubebuilder:default={}
	Lag LagObjective `json:"lag,omitzero"`

	// Alerts renders a PrometheusRule, where Kubernetes knows that kind.
	// +optional
	// +kubebuilder:default={}
	Alerts Alerts `json:"alerts,omitzero"`

	// DeadLetterPolicyRef names the DeadLetterPolicy, in this namespace, for
	// records that the group fails on. Weir then makes the topics
	// <groupId>.failed, .retry, .wait.1 to n and .dlt. Absent means that failures
	// are the clients' own affair.
	// +optional
	DeadLetterPolicyRef *LocalReference `json:"deadLetterPolicyRef,omitempty"`
}

// LagObjective is how far behind a group may be. Without maxTime and
// maxRecords, lag is shown and never judged.
// +kubebuilder:validation:XValidation:rule="!has(self.for) || has(self.maxTime) || has(self.maxRecords)",fieldPath=".for",message="for is how long an objective may be missed: set maxTime or maxRecords too"
type LagObjective struct {
	// MaxTime is the age that no unread record may exceed, from 1s to 8760h: 60s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="must be a duration from 1s to 8760h, such as 60s"
	MaxTime *metav1.Duration `json:"maxTime,omitempty"`
	// MaxRecords is the number of unread records that the group may not exceed,
	// over all partitions: 100000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxRecords *int64 `json:"maxRecords,omitempty"`
	// For is how long the objective must be missed before Lagging turns True, up
	// to 24h: 5m. Absent means at once.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be a duration from 0s to 24h, such as 5m"
	For *metav1.Duration `json:"for,omitempty"`
}

// Alerts renders alerting rules.
type Alerts struct {
	// Enabled renders a PrometheusRule named after this resource.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// Labels added to every alert, by which they are routed: {team: finance}.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,127}$'))",message="keys must be Prometheus label names: letters, digits and '_', not beginning with a digit"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 1024)",message="values may have at most 1024 characters"
	// +kubebuilder:validation:XValidation:rule="!('severity' in self) && !('alertname' in self)",message="severity is set by alerts.severity, and alertname by Weir: drop them"
	// +kubebuilder:default={}
	Labels map[string]string `json:"labels,omitempty"`
	// Severity of the alerts.
	// +optional
	// +kubebuilder:default={}
	Severity AlertSeverity `json:"severity,omitzero"`
	// RunbookURL is the annotation runbook_url of every alert:
	// "https://runbooks.example.com/billing". Absent means Weir's own runbook.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self == '' || (isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '')",message="must be an http or https URL"
	RunbookURL string `json:"runbookURL,omitempty"`
}

// AlertSeverity is the label "severity" of the alerts.
type AlertSeverity struct {
	// Lag is the severity when the lag objective is missed.
	// +optional
	// +kubebuilder:default=warning
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Lag string `json:"lag,omitempty"`
}

// ConsumerGroupStatus is what Weir sees of a group.
type ConsumerGroupStatus struct {
	// ObservedGeneration is the generation that the conditions speak of; -1 until
	// Weir has looked.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready (the contract is in effect: grants made, rules written,
	// group observable), Lagging (the group misses its objective, which leaves
	// Ready as it is), and while they are True Reconciling (Weir is at it) or
	// Stalled (somebody must act).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Cluster is the KafkaCluster that this resource lives on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster,omitempty"`
	// GroupID in Kafka.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	GroupID string `json:"groupId,omitempty"`
	// State of the group in Kafka: Stable, Empty, …; absent if no client has used
	// it yet.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	State string `json:"state,omitempty"`
	// Type of the group in Kafka: Classic, Consumer or Share.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Type string `json:"type,omitempty"`
	// Members of the group.
	// +optional
	Members int32 `json:"members,omitempty"`
	// Lag over all topics. Rounded, and written at most once a minute unless a
	// condition changes.
	// +optional
	Lag *Lag `json:"lag,omitempty"`
	// Worst is the partition that is furthest behind.
	// +optional
	Worst *PartitionLag `json:"worst,omitempty"`
	// Topics that the group reads.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Topics []TopicLag `json:"topics,omitempty"`
	// DeadLetters of the group, where it has a policy.
	// +optional
	DeadLetters *DeadLetterStatus `json:"deadLetters,omitempty"`
}

// Lag is how far behind a reader is.
type Lag struct {
	// Records that are unread.
	// +required
	Records int64 `json:"records"`
	// TimeSeconds is the age of the oldest unread record; absent while unknown.
	// +optional
	TimeSeconds *int64 `json:"timeSeconds,omitempty"`
}

// TopicLag is how far behind a reader is on one topic.
type TopicLag struct {
	// Topic in Kafka.
	// +required
	// +kubebuilder:validation:MaxLength=249
	Topic string `json:"topic"`
	Lag   `json:",inline"`
}

// PartitionLag is how far behind a reader is on one partition.
type PartitionLag struct {
	// Topic in Kafka.
	// +required
	// +kubebuilder:validation:MaxLength=249
	Topic string `json:"topic"`
	// Partition of the topic.
	// +required
	Partition int32 `json:"partition"`
	Lag       `json:",inline"`
}

// DeadLetterStatus is what waits in a dead letter topic.
type DeadLetterStatus struct {
	// Topic that holds the dead letters.
	// +required
	// +kubebuilder:validation:MaxLength=249
	Topic string `json:"topic"`
	// Depth is the number of records in it; absent while unknown.
	// +optional
	Depth *int64 `json:"depth,omitempty"`
	// WaitTopics is the number of wait topics that exist for this group. It does
	// not shrink while there is a policy, so that a shorter schedule strands no
	// record.
	// +optional
	WaitTopics int32 `json:"waitTopics,omitempty"`
	// Waiting is the number of records that are still to be moved on, in a group
	// that has no policy any more; absent otherwise, and while unknown.
	// +optional
	Waiting *int64 `json:"waiting,omitempty"`
}

// ConsumerGroupList is a list of ConsumerGroups.
// +kubebuilder:object:root=true
type ConsumerGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConsumerGroup `json:"items"`
}
