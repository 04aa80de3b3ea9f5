// Package v1alpha1 is Weir's API: the contract between teams and the operator.
// It holds types, validation markers and constants; no logic and no clients.
//
// +kubebuilder:object:generate=true
// +groupName=weir.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion identifies this API.
var GroupVersion = schema.GroupVersion{Group: "weir.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&KafkaCluster{}, &KafkaClusterList{},
		&Topic{}, &TopicList{},
		&OutboxRelay{}, &OutboxRelayList{},
		&ConsumerGroup{}, &ConsumerGroupList{},
		&DeadLetterPolicy{}, &DeadLetterPolicyList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
