package v1alpha1

// Annotations and the finalizer.
const (
	// DefaultClusterAnnotation, set to "true" on one KafkaCluster, makes it
	// the cluster of every resource without spec.clusterRef.
	DefaultClusterAnnotation = "weir.dev/is-default-cluster"
	// ForceDeleteAnnotation, set to "true" on a resource that is being
	// deleted, lets it go without the clean-up in Kafka.
	ForceDeleteAnnotation = "weir.dev/force-delete"
	// Finalizer is held by every resource that owns something in Kafka.
	Finalizer = "weir.dev/finalizer"
)

// Condition types. Ready is always present; Reconciling and Stalled only while
// True, and never together.
const (
	ConditionReady              = "Ready"
	ConditionReconciling        = "Reconciling"
	ConditionStalled            = "Stalled"
	ConditionAccessEnforced     = "AccessEnforced"     // Topic
	ConditionBacklogged         = "Backlogged"         // OutboxRelay
	ConditionLagging            = "Lagging"            // ConsumerGroup
	ConditionRetriesStopped     = "RetriesStopped"     // ConsumerGroup; present only while True
	ConditionDrifted            = "Drifted"            // Topic; present only while True
	ConditionDeadLettersPresent = "DeadLettersPresent" // DeadLetterPolicy
	ConditionRetryWorkerReady   = "RetryWorkerReady"   // KafkaCluster, where a group on it has a DeadLetterPolicy
)

// Reasons that more than one kind uses.
const (
	ReasonReady            = "Ready"
	ReasonSuspended        = "Suspended"
	ReasonDeleting         = "Deleting"
	ReasonProgressing      = "Progressing"
	ReasonConflict         = "Conflict"
	ReasonNameConflict     = "NameConflict"
	ReasonSecretNotFound   = "SecretNotFound"
	ReasonSecretInvalid    = "SecretInvalid"
	ReasonClusterNotFound  = "ClusterNotFound"
	ReasonClusterNotReady  = "ClusterNotReady"
	ReasonNamespaceRefused = "NamespaceRefused"
	ReasonTopicNotFound    = "TopicNotFound"
	ReasonTopicNotReady    = "TopicNotReady"
	ReasonNotAllowed       = "NotAllowed"
	ReasonContested        = "Contested"
	ReasonStatusTooLarge   = "StatusTooLarge"
	ReasonInUse            = "InUse"
	// The namespace of the resource is being deleted.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	ReasonPolicyNotFound       = "PolicyNotFound"
	ReasonPolicyNotReady       = "PolicyNotReady"
)

// Reasons of KafkaCluster.
const (
	ReasonConnected         = "Connected"
	ReasonUnreachable       = "Unreachable"
	ReasonUnauthorized      = "Unauthorized"
	ReasonClusterIDMismatch = "ClusterIdMismatch"
	ReasonIdentityMissing   = "IdentityMissing" // RetryWorkerReady=False: the worker would have no credentials of its own
)

// Reasons of the conditions that one kind has.
const (
	ReasonEnforced           = "Enforced"           // AccessEnforced=True
	ReasonAuthorizerDisabled = "AuthorizerDisabled" // AccessEnforced=False
	ReasonWithinObjective    = "WithinObjective"    // Lagging=False
	ReasonRecordsLost        = "RecordsLost"
	ReasonTimeLag            = "TimeLag"            // Lagging=True: an unread record is older than lag.maxTime
	ReasonRecordLag          = "RecordLag"          // Lagging=True: more unread records than lag.maxRecords
	ReasonLagUnknown         = "LagUnknown"         // Lagging=Unknown
	ReasonDeadLetters        = "DeadLetters"        // DeadLettersPresent=True
	ReasonNoDeadLetters      = "NoDeadLetters"      // DeadLettersPresent=False
	ReasonDeadLettersUnknown = "DeadLettersUnknown" // DeadLettersPresent=Unknown
	ReasonKeepingUp          = "KeepingUp"          // Backlogged=False
	ReasonRowsWaiting        = "RowsWaiting"        // Backlogged=True
	ReasonBacklogUnknown     = "BacklogUnknown"     // Backlogged=Unknown
	ReasonInvalidSchedule    = "InvalidSchedule"    // DeadLetterPolicy Stalled
)
