package outboxrelay

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/internal/relay/config"
)

// longestRoll is how long the pods of an earlier spec keep what they were
// granted once there is a new one.
const longestRoll = time.Hour

// grant declares what the relay needs, and what the pods of its earlier spec
// still need, and waits until it is granted. Errors are halts.
func (r *Reconciler) grant(ctx context.Context, place estate.Place, relay *v1alpha1.OutboxRelay, referred []estate.Referred, rendered worker.Spec) error {
	files, err := worker.Files(ctx, r.Children, relay, rendered)
	if err != nil {
		return err
	}
	var earlier []corev1.ConfigMap
	for _, file := range files {
		switch {
		case !slices.Contains(rendered.FilesNames(), file.Name):
			earlier = append(earlier, file)
		case time.Since(file.CreationTimestamp.Time) > longestRoll:
			return r.declare(ctx, place, relay, wants(relay, referred), nil)
		}
	}
	return r.declare(ctx, place, relay, wants(relay, referred), earlier)
}

func (r *Reconciler) declare(ctx context.Context, place estate.Place, relay *v1alpha1.OutboxRelay, wanted grants.Wants, earlier []corev1.ConfigMap) error {
	kept, err := r.earlier(ctx, place, relay, earlier)
	if err != nil {
		return err
	}
	version := estate.VersionOf(relay)
	if len(earlier) > 0 {
		version += " rolling"
	}
	ref := estate.RefOf(relay)
	place.Declare(ref, version, estate.Both(wanted, kept))
	disabled, err := estate.Enforced(place.State(ctx, ref))
	if disabled {
		return nil // the KafkaCluster says so
	}
	return err
}

// keep declares that what the relay and its pods were granted is only kept, while
// its spec cannot take effect.
func (r *Reconciler) keep(ctx context.Context, place estate.Place, relay *v1alpha1.OutboxRelay, referred []estate.Referred) error {
	files, err := worker.Files(ctx, r.Children, relay, worker.Spec{Name: workerName(relay), Namespace: relay.Namespace, Component: component})
	if err != nil {
		return err
	}
	kept, err := r.earlier(ctx, place, relay, files)
	if err != nil {
		return err
	}
	wanted := wants(relay, referred)
	for binding := range wanted {
		wanted[binding] = grants.Keep
	}
	place.Declare(estate.RefOf(relay), estate.VersionOf(relay)+" rolling", estate.Both(wanted, kept))
	return nil
}

// wants are the ACL bindings that a relay's principal needs.
func wants(relay *v1alpha1.OutboxRelay, referred []estate.Referred) grants.Wants {
	all := grants.Wants{}
	for _, one := range referred {
		if one.Want == 0 {
			continue
		}
		for _, binding := range kafka.Publish(relay.Spec.Kafka.Principal, one.Name) {
			all[binding] = max(all[binding], one.Want)
		}
	}
	return all
}

// earlier is what the pods that read these files need. The files are in the
// tenant's hands: they count for no more than keeping what the record has, on
// topics whose owners consent.
func (r *Reconciler) earlier(ctx context.Context, place estate.Place, relay *v1alpha1.OutboxRelay, files []corev1.ConfigMap) (grants.Wants, error) {
	kept := grants.Wants{}
	for _, file := range files {
		var was config.Outbox
		if json.Unmarshal([]byte(file.Data[config.OutboxFile]), &was) != nil {
			continue // nobody reads it either
		}
		for _, route := range was.Routes {
			consents, err := r.consents(ctx, place, relay, route.Topic)
			if err != nil {
				return nil, err
			}
			if !consents {
				continue
			}
			for _, binding := range kafka.Publish(was.Kafka.Principal, route.Topic) {
				kept[binding] = grants.Keep
			}
		}
	}
	return kept, nil
}

// consents says whether the owner of a topic lets the relay's namespace publish.
func (r *Reconciler) consents(ctx context.Context, place estate.Place, relay *v1alpha1.OutboxRelay, topic string) (bool, error) {
	entry, known := place.Entry(record.Key{Kind: record.Topic, Name: topic})
	if !known || entry.Holder.Kind != estate.KindTopic {
		return false, nil
	}
	var owner v1alpha1.Topic
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: entry.Holder.Namespace, Name: entry.Holder.Name}, &owner)
	if apierrors.IsNotFound(err) {
		return true, nil // what was granted stays
	}
	if err != nil {
		return false, err
	}
	err = r.Estates.Consents(ctx, &owner, relay.Namespace, "", estate.ToProduce)
	if _, refused := halt.As(err); refused {
		return false, nil
	}
	return err == nil, err
}
