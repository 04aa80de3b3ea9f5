package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BackoffPolicy is how delays grow.
// +kubebuilder:validation:Enum=Fixed;Linear;Exponential
type BackoffPolicy string

// The policies. Attempt 1 is the first delivery; each says the wait before
// attempt n+1.
const (
	// The same wait each time: delay.
	BackoffFixed BackoffPolicy = "Fixed"
	// A wait that grows evenly: delay · n.
	BackoffLinear BackoffPolicy = "Linear"
	// A wait that multiplies: delay · factor^(n−1).
	BackoffExponential BackoffPolicy = "Exponential"
)

// Execution says who moves failed records.
// +kubebuilder:validation:Enum=Managed
type Execution string

// ExecutionManaged means that Weir's retry worker moves them.
const ExecutionManaged Execution = "Managed"

// DeadLetterPolicy says how often and when a failed record is tried again, and
// what happens when that is no use. Any number of ConsumerGroups in the
// namespace may use it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=deadletterpolicies,categories=weir,shortName=dlp
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Attempts",type=integer,priority=1,JSONPath=`.spec.retry.maxAttempts`
// +kubebuilder:printcolumn:name="Total-Delay",type=string,JSONPath=`.status.totalDelay`
// +kubebuilder:printcolumn:name="Groups",type=integer,JSONPath=`.status.consumerGroups`
// +kubebuilder:printcolumn:name="Dead-Letters",type=integer,JSONPath=`.status.deadLetters`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DeadLetterPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the team wants.
	// +optional
	// +kubebuilder:default={}
	Spec DeadLetterPolicySpec `json:"spec,omitzero"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DeadLetterPolicyStatus `json:"status,omitzero"`
}

// DeadLetterPolicySpec says how failed records are retried and kept.
type DeadLetterPolicySpec struct {
	// Suspend stops Weir from following changes of this policy; records move on by
	// the last one in effect.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Retry says how often and when a record is tried again.
	// +optional
	// +kubebuilder:default={}
	Retry Retry `json:"retry,omitzero"`

	// Execution is Managed: Weir's retry worker moves the records.
	// +optional
	// +kubebuilder:default=Managed
	Execution Execution `json:"execution,omitempty"`

	// DeadLetter says how dead letters are kept.
	// +optional
	// +kubebuilder:default={}
	DeadLetter DeadLetter `json:"deadLetter,omitzero"`
}

// Retry says how often and when a record is tried again.
type Retry struct {
	// MaxAttempts counts the first delivery: 5 means up to 4 retries, 1 means
	// none.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	MaxAttempts int32 `json:"maxAttempts,omitempty"`
	// Backoff is the wait between attempts.
	// +optional
	// +kubebuilder:default={}
	Backoff Backoff `json:"backoff,omitzero"`
	// MaxElapsed is when retrying ends even if attempts are left, counted from the
	// first failure, up to 8760h: 1h. Absent means that attempts alone decide.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('8760h')",message="must be a duration from 1ms to 8760h, such as 1h"
	MaxElapsed *metav1.Duration `json:"maxElapsed,omitempty"`
	// PermanentErrors are error classes, the header weir-error-class of a failed
	// record, that are never retried: ["DeserializationError",
	// "*SchemaException"]. A leading or trailing * matches any text.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[*]?[^*]+[*]?$')",message="must be an error class, with * at its beginning or end only"
	// +listType=set
	PermanentErrors []string `json:"permanentErrors,omitempty"`
}

// Backoff is the wait between attempts.
// +kubebuilder:validation:XValidation:rule="!has(self.max) || duration(self.max) >= duration(self.delay) || !self.max.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') || !self.delay.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$')",fieldPath=".max",message="max caps each delay, so it cannot be shorter than delay"
// +kubebuilder:validation:XValidation:rule="!has(self.factor) || self.policy == 'Exponential'",fieldPath=".factor",message="factor is for policy: Exponential: set that, or drop factor"
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.policy != 'Fixed'",fieldPath=".max",message="max is for policy: Linear or Exponential: set one of them, or drop max"
type Backoff struct {
	// Policy says how the wait before attempt n+1 grows: Fixed (delay), Linear
	// (delay · n) or Exponential (delay · factor^(n−1)).
	// +optional
	// +kubebuilder:default=Exponential
	Policy BackoffPolicy `json:"policy,omitempty"`
	// Delay is the wait before the second attempt, from 1ms to 168h: 1s.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('168h')",message="must be a duration from 1ms to 168h, such as 1s"
	Delay metav1.Duration `json:"delay,omitzero"`
	// Factor of the policy Exponential. Absent means 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Factor *int32 `json:"factor,omitempty"`
	// Max caps each wait, up to 168h: 5m. Absent means no cap.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('168h')",message="must be a duration from 1ms to 168h, such as 5m"
	Max *metav1.Duration `json:"max,omitempty"`
	// JitterPercent moves each due time by up to this share of its wait, later
	// only, so that records that failed together are not tried again together: 20.
	// Absent means none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	JitterPercent int32 `json:"jitterPercent,omitempty"`
}

// DeadLetter says how dead letters are kept.
type DeadLetter struct {
	// Retention is how long dead letters are kept, from 1m to 87600h: 336h, which
	// is two weeks.
	// +optional
	// +kubebuilder:default="336h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('87600h')",message="must be a duration from 1m to 87600h, such as 336h"
	Retention metav1.Duration `json:"retention,omitzero"`
}

// DeadLetterPolicyStatus is what Weir makes of a policy.
type DeadLetterPolicyStatus struct {
	// ObservedGeneration is the generation that the conditions speak of; -1 until
	// Weir has looked.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready (the policy is in effect), DeadLettersPresent (somebody
	// should look), and while they are True Reconciling (Weir is at it) or Stalled
	// (somebody must act).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Schedule holds the waits before attempt 2, 3, … without jitter.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Type=string
	// +kubebuilder:validation:items:MaxLength=32
	Schedule []metav1.Duration `json:"schedule,omitempty"`
	// TotalDelay is the sum of the schedule.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	TotalDelay *metav1.Duration `json:"totalDelay,omitempty"`
	// ConsumerGroups that use this policy.
	// +optional
	ConsumerGroups int32 `json:"consumerGroups,omitempty"`
	// DeadLetters of all these groups; absent while unknown.
	// +optional
	DeadLetters *int64 `json:"deadLetters,omitempty"`
}

// DeadLetterPolicyList is a list of DeadLetterPolicies.
// +kubebuilder:object:root=true
type DeadLetterPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DeadLetterPolicy `json:"items"`
}
