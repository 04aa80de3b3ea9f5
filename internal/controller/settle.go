package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// conflictRetry is when a pass is made again that met a newer version of its
// object: the cache is about to have it.
const conflictRetry = 100 * time.Millisecond

// settler is the only writer of status.
type settler struct {
	client client.Client
	events events.EventRecorder
	// resync is when a stalled object is looked at again.
	resync time.Duration
}

// settle ends a pass: it sets Ready, Reconciling and Stalled from err, writes
// status once and only if it differs from before, and says when to come back.
// Every is when an object that is well is looked at again; zero leaves that to
// watches. A transient err is returned, for the queue's backoff.
func (s settler) settle(ctx context.Context, before, after client.Object, every time.Duration, err error) (reconcile.Result, error) {
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	case letGo(after):
		return reconcile.Result{}, err
	}
	setShared(after, err)
	switch writeErr := s.write(ctx, before, after); {
	case apierrors.IsConflict(writeErr):
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	case writeErr != nil:
		return reconcile.Result{}, fmt.Errorf("writing status: %w", writeErr)
	}
	s.tellTransitions(before, after)
	if err == nil {
		return reconcile.Result{RequeueAfter: every}, nil
	}
	switch h := haltOf(err); {
	case h.kind == retrying:
		return reconcile.Result{}, err
	case h.kind == suspended:
		return reconcile.Result{}, nil
	case h.after > 0:
		return reconcile.Result{RequeueAfter: h.after}, nil
	case h.kind == progressing:
		return reconcile.Result{RequeueAfter: every}, nil
	default:
		return reconcile.Result{RequeueAfter: s.resync}, nil
	}
}

// letGo says whether Weir has nothing to do with an object any more: it is
// being deleted and does not hold our finalizer. Others may still hold it.
func letGo(obj client.Object) bool {
	return !obj.GetDeletionTimestamp().IsZero() && !controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer)
}

// record makes sure that status lists what a pass is about to create outside,
// before it does, and brings before up to date so that settle compares with
// what is written. A conflict says that the cache was behind.
func (s settler) record(ctx context.Context, before, after client.Object) error {
	if err := s.patch(ctx, before, after); err != nil {
		return fmt.Errorf("recording in status: %w", err)
	}
	copyStatus(before, after)
	before.SetResourceVersion(after.GetResourceVersion())
	return nil
}

// write patches status, if it differs. An object that is gone needs no status.
func (s settler) write(ctx context.Context, before, after client.Object) error {
	if equality.Semantic.DeepEqual(statusOf(before), statusOf(after)) {
		return nil
	}
	return client.IgnoreNotFound(s.patch(ctx, before, after))
}

// patch writes what status has more or less than before. By its optimistic lock
// it also tells whether the cache was behind, where there is nothing to write.
func (s settler) patch(ctx context.Context, before, after client.Object) error {
	base := before.DeepCopyObject().(client.Object)
	base.SetResourceVersion(after.GetResourceVersion())
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return s.client.Status().Patch(ctx, after, patch)
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
	h := haltOf(err)
	message := fit(h.message)
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

// fit makes a message one line, within what the API server accepts for a condition.
func fit(message string) string {
	return truncate(strings.Join(strings.Fields(message), " "), 4096)
}

// truncate cuts text to at most so many bytes.
func truncate(text string, most int) string {
	const cut = "…"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(cut)], "") + cut
}

// setDomain sets a condition of one kind only.
func setDomain(obj client.Object, kind string, status metav1.ConditionStatus, reason, message string) {
	conditions, _ := sharedOf(obj)
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: obj.GetGeneration(), Reason: reason, Message: fit(message),
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
