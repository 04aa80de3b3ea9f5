package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// conflictRetry is when a pass is made again that met a newer version of its
// object: the cache is about to have it.
const conflictRetry = 100 * time.Millisecond

// settler is the only writer of status.
type settler struct {
	client client.Client
	// resync is when a stalled object is looked at again.
	resync time.Duration
}

// settle ends a pass: it sets Ready, Reconciling and Stalled from err, writes
// status once and only if it differs from before, and says when to come back.
// A transient err is returned, for the queue's backoff.
func (s settler) settle(ctx context.Context, before, after client.Object, err error) (reconcile.Result, error) {
	setShared(after, err)
	if writeErr := s.write(ctx, before, after); writeErr != nil {
		return conflictOr(writeErr)
	}

	var h *halt
	switch {
	case err == nil:
		return reconcile.Result{}, nil
	case !errors.As(err, &h), h.kind == retrying:
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: conflictRetry}, nil
		}
		return reconcile.Result{}, err
	case h.after > 0:
		return reconcile.Result{RequeueAfter: h.after}, nil
	case h.kind == stalled, h.kind == waiting:
		return reconcile.Result{RequeueAfter: s.resync}, nil
	default:
		return reconcile.Result{}, nil
	}
}

// record writes what a pass is about to create outside, before it does, and
// brings before up to date so that settle compares with what is written.
func (s settler) record(ctx context.Context, before, after client.Object) error {
	if err := s.write(ctx, before, after); err != nil {
		return fmt.Errorf("recording in status: %w", err)
	}
	copyStatus(before, after)
	before.SetResourceVersion(after.GetResourceVersion())
	return nil
}

// write patches status with an optimistic lock, if it differs. An object that
// is gone needs no status.
func (s settler) write(ctx context.Context, before, after client.Object) error {
	if equality.Semantic.DeepEqual(statusOf(before), statusOf(after)) {
		return nil
	}
	base := before.DeepCopyObject().(client.Object)
	base.SetResourceVersion(after.GetResourceVersion())
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(s.client.Status().Patch(ctx, after, patch))
}

func conflictOr(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	}
	return reconcile.Result{}, err
}

// setShared sets the three conditions that every kind has, so that kstatus
// reads the object right.
func setShared(obj client.Object, err error) {
	conditions, observed := sharedOf(obj)
	*observed = obj.GetGeneration()
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, ObservedGeneration: obj.GetGeneration(), Reason: reason, Message: message,
		})
	}
	exclusive := func(present string, reason, message string) {
		for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
			if kind == present {
				set(kind, metav1.ConditionTrue, reason, message)
			} else {
				meta.RemoveStatusCondition(conditions, kind)
			}
		}
	}

	if err == nil {
		exclusive("", "", "")
		reason, message := readyText(obj)
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
		return
	}
	h := &halt{kind: retrying, reason: v1alpha1.ReasonProgressing, message: err.Error()}
	errors.As(err, &h)
	message := truncate(h.message)
	switch h.kind {
	case stalled:
		exclusive(v1alpha1.ConditionStalled, h.reason, message)
	case retrying, progressing:
		exclusive(v1alpha1.ConditionReconciling, h.reason, message)
	default:
		exclusive("", "", "")
	}
	ready := metav1.ConditionFalse
	if h.kind == suspended {
		ready = metav1.ConditionUnknown
	}
	set(v1alpha1.ConditionReady, ready, h.reason, message)
}

// truncate keeps a message within what the API server accepts for a condition.
func truncate(message string) string {
	const most = 4096
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "…"
}

// setDomain sets a condition of one kind only.
func setDomain(obj client.Object, kind string, status metav1.ConditionStatus, reason, message string) {
	conditions, _ := sharedOf(obj)
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: obj.GetGeneration(), Reason: reason, Message: truncate(message),
	})
}

// wasReady says whether the last pass left this generation of obj Ready: a
// difference found now came from outside.
func wasReady(obj client.Object) bool {
	conditions, observed := sharedOf(obj)
	return *observed == obj.GetGeneration() && meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionReady)
}

// isReady says whether a resource's Ready condition is True.
func isReady(obj client.Object) bool {
	conditions, _ := sharedOf(obj)
	return meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionReady)
}

// isProgressing says whether the last pass on obj began something that it left
// for the next to finish.
func isProgressing(obj client.Object) bool {
	conditions, _ := sharedOf(obj)
	reconciling := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReconciling)
	return reconciling != nil && reconciling.Reason == v1alpha1.ReasonProgressing
}

func sharedOf(obj client.Object) (conditions *[]metav1.Condition, observedGeneration *int64) {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.Topic:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.OutboxRelay:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.ConsumerGroup:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.DeadLetterPolicy:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	}
	panic(fmt.Sprintf("controller: %T has no conditions", obj))
}

func statusOf(obj client.Object) any {
	switch o := obj.(type) {
	case *v1alpha1.KafkaCluster:
		return &o.Status
	case *v1alpha1.Topic:
		return &o.Status
	case *v1alpha1.OutboxRelay:
		return &o.Status
	case *v1alpha1.ConsumerGroup:
		return &o.Status
	case *v1alpha1.DeadLetterPolicy:
		return &o.Status
	}
	panic(fmt.Sprintf("controller: %T has no status", obj))
}

func copyStatus(to, from client.Object) {
	switch t := to.(type) {
	case *v1alpha1.KafkaCluster:
		from.(*v1alpha1.KafkaCluster).Status.DeepCopyInto(&t.Status)
	case *v1alpha1.Topic:
		from.(*v1alpha1.Topic).Status.DeepCopyInto(&t.Status)
	case *v1alpha1.OutboxRelay:
		from.(*v1alpha1.OutboxRelay).Status.DeepCopyInto(&t.Status)
	case *v1alpha1.ConsumerGroup:
		from.(*v1alpha1.ConsumerGroup).Status.DeepCopyInto(&t.Status)
	case *v1alpha1.DeadLetterPolicy:
		from.(*v1alpha1.DeadLetterPolicy).Status.DeepCopyInto(&t.Status)
	}
}

func readyText(obj client.Object) (reason, message string) {
	switch obj.(type) {
	case *v1alpha1.KafkaCluster:
		return v1alpha1.ReasonConnected, "connected to the cluster"
	case *v1alpha1.Topic:
		return v1alpha1.ReasonReady, "the topic and its grants are as declared"
	case *v1alpha1.OutboxRelay:
		return v1alpha1.ReasonReady, "publishing, or nothing to publish"
	case *v1alpha1.ConsumerGroup:
		return v1alpha1.ReasonReady, "the contract is in effect: grants are made and the group is observed"
	default:
		return v1alpha1.ReasonReady, "the schedule is in effect"
	}
}
