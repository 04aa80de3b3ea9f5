package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BackoffPolicy is how delays grow.
// +kubebuilder:validation:Enum=Fixed;Linear;Exponential
type BackoffPolicy string

// The policies. Attempt 1 is the first delivery; the delay before attempt n+1 is:
const (
	BackoffFixed       BackoffPolicy = "Fixed"       // delay
	BackoffLinear      BackoffPolicy = "Linear"      // delay · n
	BackoffExponential BackoffPolicy = "Exponential" // delay · factor^(n−1)
)

// Execution says who moves failed records.
// +kubebuilder:validation:Enum=Managed
type Execution string

// ExecutionManaged: Weir's retry worker moves them.
const ExecutionManaged Execution = "Managed"

// DeadLetterPolicy says how often and when a failed record is tried again, and what happens when that is no use.
// Any number of ConsumerGroups in the namespace may use it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=deadletterpolicies,categories=weir,shortName=dlp
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Attempts",type=integer,JSONPath=`.spec.retry.maxAttempts`
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
	Spec DeadLetterPolicySpec `json:"spec,omitempty"`
	// Status is what Weir sees.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DeadLetterPolicyStatus `json:"status,omitempty"`
}

// DeadLetterPolicySpec says how failed records are retried and kept.
type DeadLetterPolicySpec struct {
	// Suspend stops Weir from following changes of this policy; records move on by the last one in effect.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Retry says how often and when a record is tried again.
	// +optional
	// +kubebuilder:default={}
	Retry Retry `json:"retry,omitempty"`

	// Execution is Managed: Weir's retry worker moves the records.
	// +optional
	// +kubebuilder:default=Managed
	Execution Execution `json:"execution,omitempty"`

	// DeadLetter says how dead letters are kept.
	// +optional
	// +kubebuilder:default={}
	DeadLetter DeadLetter `json:"deadLetter,omitempty"`
}

// Retry says how often and when a record is tried again.
// +kubebuilder:validation:XValidation:rule="!has(self.maxElapsed) || duration(self.maxElapsed) > duration('0s')",fieldPath=".maxElapsed",message="maxElapsed must be positive"
type Retry struct {
	// MaxAttempts counts the first delivery: 1 means no retry.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	MaxAttempts int32 `json:"maxAttempts,omitempty"`
	// Backoff is the wait between attempts.
	// +optional
	// +kubebuilder:default={}
	Backoff Backoff `json:"backoff,omitempty"`
	// MaxElapsed, counted from the first failure, is when retrying ends even if attempts are left.
	// +optional
	MaxElapsed *metav1.Duration `json:"maxElapsed,omitempty"`
	// PermanentErrors are error classes (the header weir-error-class) that are never retried. A leading or
	// trailing * matches any text.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^\*?[^*]+\*?$`
	// +listType=set
	PermanentErrors []string `json:"permanentErrors,omitempty"`
}

// Backoff is the wait between attempts.
// +kubebuilder:validation:XValidation:rule="!has(self.max) || duration(self.max) > duration('0s')",fieldPath=".max",message="max must be positive"
// +kubebuilder:validation:XValidation:rule="!has(self.max) || duration(self.max) >= duration(self.delay)",fieldPath=".max",message="max cannot be shorter than delay"
// +kubebuilder:validation:XValidation:rule="!has(self.factor) || self.policy == 'Exponential'",fieldPath=".factor",message="factor needs policy Exponential"
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.policy != 'Fixed'",fieldPath=".max",message="max needs policy Linear or Exponential"
type Backoff struct {
	// Policy is Fixed (delay), Linear (delay · n) or Exponential (delay · factor^(n−1)), for the wait before attempt n+1.
	// +optional
	// +kubebuilder:default=Exponential
	Policy BackoffPolicy `json:"policy,omitempty"`
	// Delay before the second attempt.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="delay must be positive"
	Delay metav1.Duration `json:"delay,omitempty"`
	// Factor of the policy Exponential; absent means 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Factor *int32 `json:"factor,omitempty"`
	// Max caps each delay.
	// +optional
	Max *metav1.Duration `json:"max,omitempty"`
	// JitterPercent moves each due time by up to this share of its delay, later only.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	JitterPercent int32 `json:"jitterPercent,omitempty"`
}

// DeadLetter says how dead letters are kept.
type DeadLetter struct {
	// Retention is how long dead letters are kept, at least 1m.
	// +optional
	// +kubebuilder:default="336h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m')",message="retention must be at least 1m"
	Retention metav1.Duration `json:"retention,omitempty"`
}

// DeadLetterPolicyStatus is what Weir makes of a policy.
type DeadLetterPolicyStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, DeadLettersPresent, and while they are True Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Schedule holds the waits before attempt 2, 3, … without jitter.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Schedule []metav1.Duration `json:"schedule,omitempty"`
	// TotalDelay is the sum of the schedule.
	// +optional
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
