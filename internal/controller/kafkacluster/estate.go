package kafkacluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/settle"
)

// open opens the estate of a KafkaCluster, and has it follow what the platform
// says. Errors are halts.
func (r *Reconciler) open(ctx context.Context, cluster *v1alpha1.KafkaCluster, id string) (*estate.Estate, error) {
	opened, fresh, err := r.Estates.Open(ctx, cluster, id)
	if err != nil {
		return nil, err
	}
	if fresh && opened.Lost() {
		r.Settler.Warn(cluster, "RecordRebuilt", "Rebuild",
			"the record of what Weir owns on this cluster is lost: what resources declare now counts as made by Weir, and what nobody declares is left alone")
	}
	// Once there is a record.
	if cluster.Annotations[v1alpha1.RecordAnnotation] != id {
		if err := r.annotate(ctx, cluster, v1alpha1.RecordAnnotation, id); err != nil {
			return nil, err
		}
	}
	if err := opened.Recover(ctx); err != nil {
		return nil, err
	}
	if writer := opened.Elsewhere(); writer != "" && cluster.Annotations[v1alpha1.TakeRecordAnnotation] == writer {
		if err := opened.Take(ctx); err != nil {
			return nil, err
		}
	}
	if free := cluster.Annotations[v1alpha1.FreeNamesAnnotation]; free != "" {
		var names []string
		for name := range strings.SplitSeq(free, ",") {
			names = append(names, strings.TrimSpace(name))
		}
		if err := opened.Free(names); err != nil {
			return nil, err
		}
	}
	opened.Set(grants.Settings{
		Take:   cluster.Spec.Adoption == v1alpha1.AdoptionTake,
		Agreed: cluster.Annotations[v1alpha1.ReleaseAnnotation],
	})
	return opened, nil
}

// annotate sets an annotation. The status that this pass has made so far is kept.
func (r *Reconciler) annotate(ctx context.Context, cluster *v1alpha1.KafkaCluster, key, value string) error {
	patched := cluster.DeepCopy()
	metav1.SetMetaDataAnnotation(&patched.ObjectMeta, key, value)
	err := r.Client.Patch(ctx, patched, client.MergeFromWithOptions(cluster, client.MergeFromWithOptimisticLock{}))
	if err == nil {
		cluster.Annotations, cluster.ResourceVersion = patched.Annotations, patched.ResourceVersion
	}
	return err
}

// report says in status what Weir has on the cluster, and what waits there.
func report(cluster *v1alpha1.KafkaCluster, opened *estate.Estate) error {
	topics, owed := opened.Topics()
	made := opened.Report()
	cluster.Status.Topics, cluster.Status.ACLBindings = int32(topics), int32(made.Bindings)
	cluster.Status.PendingRemovals, cluster.Status.PendingSince = int32(made.Leaving+owed), nil
	if !made.Since.IsZero() {
		cluster.Status.PendingSince = &metav1.Time{Time: made.Since}
	}
	setWhile(cluster, v1alpha1.ConditionRemovalHeld, v1alpha1.ReasonBrake, heldWords(made.Held))
	setWhile(cluster, v1alpha1.ConditionRecordElsewhere, v1alpha1.ReasonOtherKubernetes, elsewhereWords(opened.Elsewhere()))
	if errors.Is(made.Trouble, record.ErrNotStored) {
		return estate.NotStored(made.Trouble)
	}
	return nil
}

// setWhile sets a condition that is present only while there is something to say.
func setWhile(cluster *v1alpha1.KafkaCluster, kind, reason, message string) {
	if message == "" {
		meta.RemoveStatusCondition(&cluster.Status.Conditions, kind)
		return
	}
	settle.SetCondition(cluster, kind, metav1.ConditionTrue, reason, message)
}

var causeWords = map[grants.Cause]string{
	grants.Absent:      "the resources that declared them are not there, and nobody saw them go",
	grants.Consequence: "other objects changed: a selector, the labels of a namespace, or this KafkaCluster",
}

func heldWords(held *grants.Held) string {
	if held == nil {
		return ""
	}
	return fmt.Sprintf("the removal of %d ACL bindings is held, since nobody asked for it: %s; to let exactly these go, annotate this KafkaCluster with %s=%s",
		held.Number, causeWords[held.Cause], v1alpha1.ReleaseAnnotation, held.Digest)
}

func elsewhereWords(writer string) string {
	if writer == "" {
		return ""
	}
	return fmt.Sprintf("another Kubernetes cluster (%s) wrote the record of what Weir owns here: nothing is removed or deleted; where that one does not manage this Kafka any more, annotate this KafkaCluster with %s=%s",
		writer, v1alpha1.TakeRecordAnnotation, writer)
}
