package estate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/names"
	"github.com/weir-dev/weir/internal/controller/pool"
	"github.com/weir-dev/weir/internal/controller/record"
)

// claimOf is what a resource claims on a cluster; nil where it names nothing.
func (e *Estates) claimOf(ctx context.Context, on *Estate, cluster *v1alpha1.KafkaCluster, resident pool.Resident) (*names.Claim, error) {
	claim := names.Claim{Ref: RefOf(resident), Created: resident.GetCreationTimestamp().Time}
	switch r := resident.(type) {
	case *v1alpha1.Topic:
		claim.Names = []record.Key{topicKey(TopicName(r))}
		claim.Uses = usesOf(r)
	case *v1alpha1.ConsumerGroup:
		key := record.Key{Kind: record.Group, Name: GroupID(r)}
		claim.Names = []record.Key{key}
		// The dead letter topics that it has had stay its own.
		if entry, known := on.Entry(key); known && entry.Holder == claim.Ref && entry.Lane != nil {
			claim.Lane = &record.Lane{Waits: entry.Lane.Waits}
		}
	default:
		return nil, nil
	}
	of, err := e.Clusters.NamespaceLabels(ctx, resident.GetNamespace())
	if err != nil {
		return nil, err
	}
	claim.Allowed = on.allowances.of(cluster, resident.GetNamespace(), of)
	return &claim, nil
}

// claimAtFirst enters the claim of a resource that was there before the estate
// was open, so that age decides between them and not whose pass comes first.
func (e *Estates) claimAtFirst(ctx context.Context, opened *Estate, cluster *v1alpha1.KafkaCluster, resident pool.Resident) error {
	err := e.Clusters.Admits(ctx, cluster, resident.GetNamespace())
	if _, refused := halt.As(err); refused || client.IgnoreNotFound(err) == nil && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	claim, err := e.claimOf(ctx, opened, cluster, resident)
	if err == nil && claim != nil {
		opened.names.Put(*claim)
	}
	return client.IgnoreNotFound(err)
}

// allowances is what the naming of a KafkaCluster allows each namespace, as it was
// asked last: all its claims share that. Safe for concurrent use.
type allowances struct {
	mu          sync.Mutex
	version     string // of the KafkaCluster
	byNamespace map[string]allowance
}

type allowance struct {
	labels  map[string]string
	allowed names.Allowed
}

func (a *allowances) of(cluster *v1alpha1.KafkaCluster, namespace string, labelled map[string]string) names.Allowed {
	a.mu.Lock()
	defer a.mu.Unlock()
	if version := pool.Version(cluster); a.version != version {
		a.version, a.byNamespace = version, map[string]allowance{}
	}
	known, asked := a.byNamespace[namespace]
	if !asked || !maps.Equal(known.labels, labelled) {
		known = allowance{labelled, policyOf(cluster).For(namespace, labelled)}
		a.byNamespace[namespace] = known
	}
	return known.allowed
}

// forget drops what is known of a namespace, of which something has gone: it may be
// gone itself.
func (a *allowances) forget(namespace string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byNamespace, namespace)
}

// usesOf are the groups and transactional IDs that a Topic grants rights on.
func usesOf(topic *v1alpha1.Topic) []record.Key {
	var uses []record.Key
	for _, access := range topic.Spec.Access {
		for _, group := range access.Groups {
			uses = append(uses, record.Key{Kind: record.Group, Name: group})
		}
		for _, id := range access.TransactionalIDs {
			uses = append(uses, record.Key{Kind: record.TransactionalID, Name: id})
		}
	}
	return uses
}

// policyOf is the naming of a KafkaCluster.
func policyOf(cluster *v1alpha1.KafkaCluster) names.Policy {
	policy := names.Policy{Free: cluster.Spec.Naming.Policy == v1alpha1.NamingFree}
	for _, rule := range cluster.Spec.Naming.Rules {
		labelled := labels.Set{}
		if rule.Namespaces != nil {
			for label, value := range rule.Namespaces.MatchLabels {
				labelled[label] = string(value)
			}
		}
		policy.Rules = append(policy.Rules, names.Rule{
			Namespaces: labelled.AsSelectorPreValidated(), Topics: texts(rule.Topics), Groups: texts(rule.Groups), TransactionalIDs: texts(rule.TransactionalIDs),
		})
	}
	return policy
}

func texts(patterns []v1alpha1.NamePattern) []string {
	var all []string
	for _, pattern := range patterns {
		all = append(all, string(pattern))
	}
	return all
}

// Free lets other namespaces have names whose resources are gone.
func (e *Estate) Free(free []string) error {
	for key := range e.Entries(func(key record.Key, entry record.Entry) bool {
		return slices.Contains(free, key.Name) && entry.Phase != record.Leaving && !e.names.Claimed(entry.Holder)
	}) {
		if err := e.Note(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// Refused returns the halt that says why a resource may not have a name; nil
// where it may. Field is where the name stands.
func (p Place) Refused(verdict names.Verdict, field string) error {
	kind, name := kindWords[verdict.Key.Kind], verdict.Key.Name
	switch verdict.Outcome {
	case names.Theirs:
		cure := "use another name, or delete the other resource"
		if !p.names.Claimed(verdict.By) {
			cure = fmt.Sprintf("it is gone, and its namespace keeps the name while the %s is there; use another name, or ask whoever owns the KafkaCluster to annotate it with %s=%s",
				kind, v1alpha1.FreeNamesAnnotation, name)
		}
		return halt.Stall(v1alpha1.ReasonConflict, "%s: %s %q on KafkaCluster %q belongs to %s; nothing is touched: %s",
			field, kind, name, p.Resource.Name, verdict.By, cure)
	case names.OutsideRule:
		kept := ""
		if verdict.Kept {
			kept = "; what was made under it stays as it is"
		}
		return halt.Stall(v1alpha1.ReasonNameRefused, "%s: KafkaCluster %q does not allow the %s %q: %s%s",
			field, p.Resource.Name, kind, name, verdict.Why, kept)
	case names.Exists:
		return halt.Stall(v1alpha1.ReasonTopicExists,
			"topic %q, which the dead letter policy needs, is there and is not Weir's; delete it, or use another spec.groupId", name)
	default:
		return nil
	}
}

var kindWords = map[record.Kind]string{record.Topic: "topic", record.Group: "group", record.TransactionalID: "transactional ID"}
