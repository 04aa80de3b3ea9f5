package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// What every kind's status has, for code that treats all kinds alike.

// GetConditions returns where the conditions of a KafkaCluster are.
func (k *KafkaCluster) GetConditions() *[]metav1.Condition { return &k.Status.Conditions }

// GetObservedGeneration returns where the generation is that its conditions speak of.
func (k *KafkaCluster) GetObservedGeneration() *int64 { return &k.Status.ObservedGeneration }

// GetStatus returns a pointer to its status.
func (k *KafkaCluster) GetStatus() any { return &k.Status }

// GetConditions returns where the conditions of a Topic are.
func (t *Topic) GetConditions() *[]metav1.Condition { return &t.Status.Conditions }

// GetObservedGeneration returns where the generation is that its conditions speak of.
func (t *Topic) GetObservedGeneration() *int64 { return &t.Status.ObservedGeneration }

// GetStatus returns a pointer to its status.
func (t *Topic) GetStatus() any { return &t.Status }

// GetConditions returns where the conditions of a OutboxRelay are.
func (o *OutboxRelay) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }

// GetObservedGeneration returns where the generation is that its conditions speak of.
func (o *OutboxRelay) GetObservedGeneration() *int64 { return &o.Status.ObservedGeneration }

// GetStatus returns a pointer to its status.
func (o *OutboxRelay) GetStatus() any { return &o.Status }

// GetConditions returns where the conditions of a ConsumerGroup are.
func (c *ConsumerGroup) GetConditions() *[]metav1.Condition { return &c.Status.Conditions }

// GetObservedGeneration returns where the generation is that its conditions speak of.
func (c *ConsumerGroup) GetObservedGeneration() *int64 { return &c.Status.ObservedGeneration }

// GetStatus returns a pointer to its status.
func (c *ConsumerGroup) GetStatus() any { return &c.Status }

// GetConditions returns where the conditions of a DeadLetterPolicy are.
func (d *DeadLetterPolicy) GetConditions() *[]metav1.Condition { return &d.Status.Conditions }

// GetObservedGeneration returns where the generation is that its conditions speak of.
func (d *DeadLetterPolicy) GetObservedGeneration() *int64 { return &d.Status.ObservedGeneration }

// GetStatus returns a pointer to its status.
func (d *DeadLetterPolicy) GetStatus() any { return &d.Status }

// GetClusterRef returns the reference to the KafkaCluster that a Topic is on.
func (t *Topic) GetClusterRef() *ClusterReference { return t.Spec.ClusterRef }

// GetClusterRef returns the reference to the KafkaCluster that an OutboxRelay is on.
func (o *OutboxRelay) GetClusterRef() *ClusterReference { return o.Spec.ClusterRef }

// GetClusterRef returns the reference to the KafkaCluster that a ConsumerGroup is on.
func (c *ConsumerGroup) GetClusterRef() *ClusterReference { return c.Spec.ClusterRef }
