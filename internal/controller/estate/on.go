package estate

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// Place is where a resource lives.
type Place struct {
	*Estate
	// Resource is the KafkaCluster.
	Resource *v1alpha1.KafkaCluster
	// Kafka is the connection.
	Kafka *kafka.Cluster
}

// On finds the place of a resource, which its KafkaCluster admits and which is
// Ready, and enters there what the resource claims. Errors are halts.
func (e *Estates) On(ctx context.Context, resident pool.Resident) (Place, error) {
	cluster, err := e.Clusters.Find(ctx, resident.GetClusterRef())
	if err != nil {
		return Place{}, err
	}
	opened := e.Of(cluster.Name)
	if err := e.Clusters.Admits(ctx, cluster, resident.GetNamespace()); err != nil {
		if _, refused := halt.As(err); refused && opened != nil {
			opened.Leave(RefOf(resident))
		}
		return Place{}, err
	}
	if err := pool.Usable(cluster); err != nil {
		return Place{}, err
	}
	if opened == nil {
		return Place{}, halt.Undecide("the record of KafkaCluster %q is being read", cluster.Name)
	}
	claim, err := e.claimOf(ctx, opened, cluster, resident)
	if err != nil {
		return Place{}, err
	}
	if claim != nil {
		opened.Claim(*claim)
	}
	connection, err := e.Clusters.Current(ctx, cluster)
	return Place{opened, cluster, connection}, err
}

// Behind is where a resource that is being deleted has left something. The
// KafkaCluster need not be Ready; where it is gone there is nothing to be done,
// and Estate is nil. Kafka is nil where nobody is connected. Errors are halts.
func (e *Estates) Behind(ctx context.Context, resident pool.Resident) (Place, error) {
	name := e.Clusters.NameOf(resident)
	var cluster v1alpha1.KafkaCluster
	err := e.Cache.Get(ctx, client.ObjectKey{Name: name}, &cluster)
	switch {
	case name == "" || apierrors.IsNotFound(err):
		return Place{}, nil
	case err != nil:
		return Place{}, err
	case cluster.Spec.Suspend:
		return Place{}, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is suspended", name)
	}
	opened := e.Of(name)
	if opened == nil {
		return Place{}, halt.Wait(v1alpha1.ReasonClusterNotReady, "KafkaCluster %q is not ready: what Weir has on it is not known", name)
	}
	return Place{opened, &cluster, e.Clusters.Latest(name)}, nil
}

// Removable returns the halt that says why nothing may be removed or deleted;
// nil where it may.
func (p Place) Removable() error {
	if p.Elsewhere() == "" {
		return nil
	}
	return halt.Wait(v1alpha1.ReasonOtherKubernetes,
		"another Kubernetes cluster wrote the record of KafkaCluster %q, whose owner has to decide; see its condition %s", p.Resource.Name, v1alpha1.ConditionRecordElsewhere)
}

// Terminating says whether a namespace is being deleted.
func (e *Estates) Terminating(ctx context.Context, namespace string) (bool, error) {
	var found corev1.Namespace
	err := e.Cache.Get(ctx, client.ObjectKey{Name: namespace}, &found)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return !found.DeletionTimestamp.IsZero(), err
}

// Widen claims a lane of so many wait topics for a group, besides its ID.
func (e *Estates) Widen(ctx context.Context, place Place, group *v1alpha1.ConsumerGroup, waits int) error {
	claim, err := e.claimOf(ctx, place.Estate, place.Resource, group)
	if err != nil {
		return err
	}
	if claim.Lane != nil {
		waits = max(waits, claim.Lane.Waits)
	}
	claim.Lane = &record.Lane{Waits: waits}
	place.Claim(*claim)
	return nil
}

// Granting are wants: all of these bindings are to be there.
func Granting(bindings []kafka.Binding) grants.Wants { return wanting(bindings, grants.Grant) }

// Keeping are wants: of these bindings those stay that Weir has made.
func Keeping(bindings []kafka.Binding) grants.Wants { return wanting(bindings, grants.Keep) }

func wanting(bindings []kafka.Binding, want grants.Want) grants.Wants {
	wants := make(grants.Wants, len(bindings))
	for _, binding := range bindings {
		wants[binding] = want
	}
	return wants
}

// Both is what two wants ask for together.
func Both(a, b grants.Wants) grants.Wants {
	all := maps.Clone(a)
	if all == nil {
		all = grants.Wants{}
	}
	for binding, want := range b {
		all[binding] = max(all[binding], want)
	}
	return all
}

// Enforced says what has become of a resource's grants. Disabled says that the
// cluster has no authorizer. Errors are halts.
func Enforced(state grants.State) (disabled bool, err error) {
	switch state.Phase {
	case grants.Enforced:
		return false, nil
	case grants.Disabled:
		return true, nil
	case grants.Refused:
		return false, halt.Kafka(state.Why)
	case grants.Denied:
		return false, halt.Stall(v1alpha1.ReasonDenied,
			"somebody denies in Kafka what is granted here, which Weir does not touch: DENY %s; see kafka-acls --list, and who made it", state.Binding)
	case grants.Contested:
		return false, halt.Stall(v1alpha1.ReasonContested,
			"somebody else removes ACL binding %s again and again: it is put right each time it is found; settle who decides it", state.Binding)
	default:
		if err := NotStored(state.Why); err != nil {
			if _, halted := halt.As(err); halted {
				return false, err
			}
			return false, halt.Kafka(fmt.Errorf("making grants: %w", state.Why))
		}
		return false, halt.Progress("the grants are being made")
	}
}

// Pay deletes the topics whose deletion is owed: their Topics went while Kafka
// did not answer. What cannot be deleted now is owed still. Errors are halts.
func (p Place) Pay(ctx context.Context) error {
	if p.Removable() != nil {
		return nil
	}
	var errs []error
	for key, entry := range p.Entries(func(key record.Key, entry record.Entry) bool {
		return key.Kind == record.Topic && entry.Phase == record.Leaving && entry.ID != "" && !p.names.Claimed(entry.Holder)
	}) {
		errs = append(errs, p.DeleteTopic(ctx, key.Name, entry))
	}
	return halt.Together(errs...)
}

// DeleteTopic deletes a topic by the ID that its entry has, once the record has
// that it is leaving. Errors are halts.
func (p Place) DeleteTopic(ctx context.Context, name string, entry record.Entry) error {
	entry.Phase, entry.Cause = record.Leaving, grants.Now.String()
	if entry.Since.IsZero() {
		entry.Since = time.Now()
	}
	if err := p.storeNow(ctx, topicKey(name), entry); err != nil {
		return err
	}
	if p.Kafka == nil {
		return halt.Wait(v1alpha1.ReasonClusterNotReady, "there is no connection to KafkaCluster %q", p.Resource.Name)
	}
	if err := p.Kafka.DeleteTopic(ctx, name, entry.ID); err != nil {
		return halt.Kafka(err)
	}
	return p.Note(topicKey(name), nil)
}

// Retained are the names of topics in the record that nobody claims, and that are
// not to be deleted.
func (p Place) Retained() []string {
	var all []string
	for key := range p.Entries(func(key record.Key, entry record.Entry) bool {
		return key.Kind == record.Topic && entry.Phase != record.Leaving && !p.names.Claimed(entry.Holder)
	}) {
		all = append(all, key.Name)
	}
	return all
}
