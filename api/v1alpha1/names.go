package v1alpha1

// Annotations and the finalizer.
const (
	// DefaultClusterAnnotation, set to "true" on one KafkaCluster, makes it
	// the cluster of every resource without spec.clusterRef.
	DefaultClusterAnnotation = "weir.dev/is-default-cluster"
	// RecordAnnotation, which Weir sets on a KafkaCluster, is the ID of the Kafka
	// cluster that Weir keeps a record of. With it and without a record, the
	// record is lost.
	RecordAnnotation = "weir.dev/record"
	// ReleaseAnnotation on a KafkaCluster lets removals go that are held; its value
	// is the digest that the condition RemovalHeld names.
	ReleaseAnnotation = "weir.dev/release-removals"
	// TakeRecordAnnotation on a KafkaCluster takes a record over that another
	// Kubernetes cluster has written; its value is what the condition
	// RecordElsewhere names.
	TakeRecordAnnotation = "weir.dev/take-record"
	// FreeNamesAnnotation on a KafkaCluster lets other namespaces have names whose
	// resources are gone: names of topics and groups, separated by commas.
	FreeNamesAnnotation = "weir.dev/free-names"
	// Finalizer is held by a Topic whose topic is to be deleted with it.
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
	ConditionRetriesStopped     = "RetriesStopped"     // ConsumerGroup; present only while True or Unknown
	ConditionDraining           = "Draining"           // ConsumerGroup; present only while True
	ConditionDrifted            = "Drifted"            // Topic; present only while True
	ConditionDeadLettersPresent = "DeadLettersPresent" // DeadLetterPolicy
	ConditionRemovalHeld        = "RemovalHeld"        // KafkaCluster; present only while True
	ConditionRecordElsewhere    = "RecordElsewhere"    // KafkaCluster; present only while True
	ConditionRetryWorkerReady   = "RetryWorkerReady"   // KafkaCluster, where a group on it has a DeadLetterPolicy
)

// Reasons that more than one kind uses.
const (
	ReasonReady            = "Ready"
	ReasonSuspended        = "Suspended"
	ReasonProgressing      = "Progressing"
	ReasonConflict         = "Conflict"
	ReasonNameRefused      = "NameRefused" // the cluster's naming does not allow it
	ReasonTopicExists      = "TopicExists" // a dead letter topic is there and is not Weir's
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
	ReasonDenied           = "Denied" // a DENY binding of somebody else's defeats a grant
	ReasonStatusTooLarge   = "StatusTooLarge"
	ReasonInUse            = "InUse"
	// The namespace of the resource is being deleted.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	ReasonPolicyNotFound       = "PolicyNotFound"
	ReasonPolicyNotReady       = "PolicyNotReady"
	ReasonPolicyRemoved        = "PolicyRemoved" // what waits is moved on
)

// Reasons of KafkaCluster.
const (
	ReasonConnected         = "Connected"
	ReasonUnreachable       = "Unreachable"
	ReasonUnauthorized      = "Unauthorized"
	ReasonClusterIDMismatch = "ClusterIdMismatch"
	ReasonClusterIDInUse    = "ClusterIdInUse"  // another KafkaCluster acts for the same Kafka
	ReasonRecordNotStored   = "RecordNotStored" // nothing is done that is not stored first
	ReasonBrake             = "Brake"           // RemovalHeld=True: many removals that nobody asked for
	ReasonOtherKubernetes   = "OtherKubernetes" // RecordElsewhere=True
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
