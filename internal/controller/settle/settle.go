// Package settle ends a pass of a reconciler: it sets the conditions that every
// kind has from how the pass ended, writes status once and only where it
// differs, tells the transitions as events, and says when to come back. Nothing
// else sets these conditions.
package settle

import (
	"context"
	"fmt"
	"reflect"
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
	"github.com/weir-dev/weir/internal/controller/halt"
)

// ConflictRetry is when a pass is made again that met a newer version of its
// object: the cache is about to have it.
const ConflictRetry = 100 * time.Millisecond

// undecidedRetry is when a pass is made again over an object of which status does
// not speak yet.
const undecidedRetry = time.Second

// Object is a resource of Weir, whatever its kind; its types in v1alpha1 have
// these methods.
type Object interface {
	client.Object
	GetConditions() *[]metav1.Condition
	GetObservedGeneration() *int64
	GetStatus() any
}

// Ready is what the Ready condition of a kind says when all is well.
type Ready struct {
	Reason, Message string
}

// Settler is the only writer of status.
type Settler struct {
	Client client.Client
	Events events.EventRecorder
	// Resync is when a stalled object is looked at again.
	Resync time.Duration
}

// Settle ends a pass: it sets Ready, Reconciling and Stalled from err, or as ready
// says where that is nil, writes status once and only if it differs from before,
// and says when to come back.
// Every is when an object that is well is looked at again; zero leaves that to
// watches. A transient err is returned, for the queue's backoff.
func (s Settler) Settle(ctx context.Context, before, after Object, ready Ready, every time.Duration, err error) (reconcile.Result, error) {
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: ConflictRetry}, nil
	case LetGo(after):
		return reconcile.Result{}, err
	}
	if h, ok := halt.As(err); ok && h.Kind == halt.Undecided {
		if *before.GetObservedGeneration() == before.GetGeneration() {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{RequeueAfter: undecidedRetry}, nil
	}
	setShared(after, ready, err)
	writeErr := s.write(ctx, before, after)
	if isTooLarge(writeErr) {
		err = halt.Stall(v1alpha1.ReasonStatusTooLarge,
			"Kubernetes does not take what is to be said of this resource, which is too large or has values that it does not allow: make spec smaller")
		copyStatus(after, before)
		setShared(after, ready, err)
		writeErr = s.write(ctx, before, after)
	}
	switch {
	case apierrors.IsConflict(writeErr):
		return reconcile.Result{RequeueAfter: ConflictRetry}, nil
	case writeErr != nil:
		return reconcile.Result{}, fmt.Errorf("writing status: %w", writeErr)
	}
	s.tellTransitions(before, after)
	if err == nil {
		return reconcile.Result{RequeueAfter: every}, nil
	}
	switch h := halt.Of(err); {
	case h.Kind == halt.Retrying:
		return reconcile.Result{}, err
	case h.Kind == halt.Suspended:
		return reconcile.Result{}, nil
	case h.After > 0:
		return reconcile.Result{RequeueAfter: h.After}, nil
	case h.Kind == halt.Progressing:
		return reconcile.Result{RequeueAfter: every}, nil
	default:
		return reconcile.Result{RequeueAfter: s.Resync}, nil
	}
}

// LetGo says whether Weir has nothing to do with an object any more: it is
// being deleted and does not hold our finalizer. Others may still hold it.
func LetGo(obj client.Object) bool {
	return !obj.GetDeletionTimestamp().IsZero() && !controllerutil.ContainsFinalizer(obj, v1alpha1.Finalizer)
}

// copyStatus makes to's status a copy of from's.
func copyStatus(to, from Object) {
	reflect.ValueOf(to.GetStatus()).Elem().Set(reflect.ValueOf(from.DeepCopyObject().(Object).GetStatus()).Elem())
}

// isTooLarge says whether the API server refuses a status as a whole: by the
// schema, by the size of a request, or because etcd does.
func isTooLarge(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInternalError(err)
}

// write patches status, if it differs. An object that is gone needs no status.
func (s Settler) write(ctx context.Context, before, after Object) error {
	if equality.Semantic.DeepEqual(before.GetStatus(), after.GetStatus()) {
		return nil
	}
	return client.IgnoreNotFound(s.patch(ctx, before, after))
}

// patch writes what status has more or less than before. By its optimistic lock
// it also tells whether the cache was behind, where there is nothing to write.
func (s Settler) patch(ctx context.Context, before, after Object) error {
	base := before.DeepCopyObject().(Object)
	base.SetResourceVersion(after.GetResourceVersion())
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return s.Client.Status().Patch(ctx, after, patch)
}

// setShared sets the three conditions that every kind has, so that kstatus
// reads the object right.
func setShared(obj Object, well Ready, err error) {
	conditions := obj.GetConditions()
	*obj.GetObservedGeneration() = obj.GetGeneration()
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
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, well.Reason, well.Message)
		return
	}
	h := halt.Of(err)
	message := fit(h.Message)
	switch h.Kind {
	case halt.Stalled:
		exclusive(v1alpha1.ConditionStalled, h.Reason, message)
	case halt.Retrying, halt.Progressing:
		exclusive(v1alpha1.ConditionReconciling, h.Reason, message)
	default:
		exclusive("", "", "")
	}
	ready := metav1.ConditionFalse
	if h.Kind == halt.Suspended {
		ready = metav1.ConditionUnknown
	}
	set(v1alpha1.ConditionReady, ready, h.Reason, message)
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

// SetCondition sets a condition of one kind only.
func SetCondition(obj Object, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(obj.GetConditions(), metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: obj.GetGeneration(), Reason: reason, Message: fit(message),
	})
}

// WasReady says whether the last pass left this generation of obj Ready: a
// difference found now came from outside.
func WasReady(obj Object) bool {
	return *obj.GetObservedGeneration() == obj.GetGeneration() && meta.IsStatusConditionTrue(*obj.GetConditions(), v1alpha1.ConditionReady)
}

// IsReady says whether a resource's Ready condition is True.
func IsReady(obj Object) bool {
	return meta.IsStatusConditionTrue(*obj.GetConditions(), v1alpha1.ConditionReady)
}
