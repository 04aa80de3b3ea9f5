package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// perKind is how many Topics and how many ConsumerGroups a namespace may have.
const perKind = 5

// actions are what may happen. The first one is what others shrink to.
func (m *model) actions() (names []string, do map[string]func(*rapid.T)) {
	do = map[string]func(*rapid.T){
		"Topic":            m.putTopic,
		"Topic again":      m.putTopic,
		"no Topic":         m.deleteTopic,
		"ConsumerGroup":    m.putGroup,
		"no ConsumerGroup": m.deleteGroup,
		"mallory":          m.putMallorys,
		"labels":           m.relabel,
		"forged status":    m.forge,
		"killed":           m.killAndRun,
		"away":             m.away,
		"by hand":          m.byHandInKafka,
		"Kafka in trouble": m.trouble,
		"touched":          m.touch,
		"cluster":          m.suspendCluster,
		"rules":            m.rules,
	}
	names = append([]string{"quiet"}, slices.Sorted(maps.Keys(do))...)
	do["quiet"] = m.quiet
	return names, do
}

func (m *model) draw(rt *rapid.T, from []string, label string) string {
	return rapid.SampledFrom(from).Draw(rt, label)
}

// names of Topics and ConsumerGroups. The last ones live on the second cluster.
func names() []string {
	var all []string
	for i := range perKind {
		all = append(all, "n"+strconv.Itoa(i))
	}
	return all
}

// refOf is the cluster that a name lives on: it cannot change.
func refOf(name string) *v1alpha1.ClusterReference {
	if name >= "n3" {
		return &v1alpha1.ClusterReference{Name: clusters[1]}
	}
	return nil
}

var principals = []string{"User:alice", "User:bob", "User:carol"}

// put creates a resource, or changes it. One that the API server refuses, or that
// goes at this moment, is as it was.
func (m *model) put(obj client.Object, change func()) {
	ctx := context.Background()
	err := m.api.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	if apierrors.IsNotFound(err) {
		change()
		m.accept(m.api.Create(ctx, obj))
		return
	}
	m.must(err)
	if !obj.GetDeletionTimestamp().IsZero() {
		return
	}
	before := obj.DeepCopyObject().(client.Object)
	change()
	m.accept(m.api.Patch(ctx, obj, client.MergeFrom(before)))
}

func (m *model) accept(err error) {
	m.rt.Helper()
	if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		m.rt.Fatal(err)
	}
}

func (m *model) putTopic(rt *rapid.T) {
	m.rt = rt
	m.topicOf(rt, m.draw(rt, teams, "namespace"), m.draw(rt, names(), "name"))
}

// populate makes the resources that things happen to.
func (m *model) populate(rt *rapid.T) {
	for _, name := range names() {
		for _, namespace := range teams {
			m.topicOf(rt, namespace, name)
			m.groupOf(rt, namespace, name)
		}
	}
	for range perKind {
		m.putMallorys(rt)
	}
}

func (m *model) topicOf(rt *rapid.T, namespace, name string) {
	topic := &v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.put(topic, func() {
		spec := &topic.Spec
		spec.ClusterRef = refOf(name)
		partitions := max(int32(rapid.IntRange(1, 3).Draw(rt, "partitions")), deref(spec.Partitions))
		spec.Partitions = &partitions
		spec.Suspend = rapid.IntRange(0, 9).Draw(rt, "suspend") == 0
		spec.DeletionPolicy = rapid.SampledFrom([]v1alpha1.DeletionPolicy{v1alpha1.Retain, v1alpha1.DeleteData}).Draw(rt, "deletionPolicy")
		spec.Config = v1alpha1.TopicConfig{}
		if value := m.draw(rt, []string{"", "3600000", "7200000"}, "retention.ms"); value != "" {
			spec.Config["retention.ms"] = value
		}
		if value := m.draw(rt, []string{"", "2000000"}, "max.message.bytes"); value != "" {
			spec.Config["max.message.bytes"] = value
		}
		spec.Access = m.access(rt, namespace)
		spec.AllowedConsumers.Namespaces = v1alpha1.NamespaceRule{From: rapid.SampledFrom([]v1alpha1.NamespacesFrom{
			v1alpha1.FromSame, v1alpha1.FromAll, v1alpha1.FromSelector,
		}).Draw(rt, "allowedConsumers")}
		if spec.AllowedConsumers.Namespaces.From == v1alpha1.FromSelector {
			spec.AllowedConsumers.Namespaces.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"reads": "yes"}}
		}
	})
}

func (m *model) access(rt *rapid.T, namespace string) []v1alpha1.Access {
	var all []v1alpha1.Access
	for _, principal := range principals {
		switch rapid.IntRange(0, 3).Draw(rt, principal) {
		case 1:
			all = append(all, v1alpha1.Access{Principal: principal, Allow: []v1alpha1.Right{v1alpha1.Produce}})
		case 2:
			all = append(all, v1alpha1.Access{Principal: principal, Allow: []v1alpha1.Right{v1alpha1.Consume}, Groups: []string{namespace + ".reader"}})
		case 3:
			all = append(all, v1alpha1.Access{Principal: principal, Allow: []v1alpha1.Right{v1alpha1.Produce, v1alpha1.Consume}})
		}
	}
	return all
}

func (m *model) deleteTopic(rt *rapid.T) {
	m.rt = rt
	m.delete(&v1alpha1.Topic{ObjectMeta: metav1.ObjectMeta{Namespace: m.draw(rt, teams, "namespace"), Name: m.draw(rt, names(), "name")}})
}

func (m *model) delete(obj client.Object) {
	m.must(client.IgnoreNotFound(m.api.Delete(context.Background(), obj)))
}

func (m *model) putGroup(rt *rapid.T) {
	m.rt = rt
	m.groupOf(rt, m.draw(rt, teams, "namespace"), m.draw(rt, names(), "name"))
}

func (m *model) groupOf(rt *rapid.T, namespace, name string) {
	group := &v1alpha1.ConsumerGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.put(group, func() {
		spec := &group.Spec
		spec.ClusterRef = refOf(name)
		spec.Principal = m.draw(rt, principals, "principal")
		spec.Suspend = rapid.IntRange(0, 9).Draw(rt, "suspend") == 0
		spec.Topics = nil
		for range rapid.IntRange(1, 2).Draw(rt, "topics") {
			on := names()[:3] // on the same cluster
			if refOf(name) != nil {
				on = names()[3:]
			}
			ref := v1alpha1.TopicReference{Name: m.draw(rt, on, "topic")}
			if rapid.Bool().Draw(rt, "another's") {
				ref.Namespace = m.draw(rt, teams, "topic's namespace")
			}
			if !slices.Contains(spec.Topics, ref) {
				spec.Topics = append(spec.Topics, ref)
			}
		}
		spec.DeadLetterPolicyRef = nil
		if rapid.IntRange(0, 2).Draw(rt, "policy") == 0 {
			spec.DeadLetterPolicyRef = &v1alpha1.LocalReference{Name: "standard"}
		}
	})
}

func (m *model) deleteGroup(rt *rapid.T) {
	m.rt = rt
	m.delete(&v1alpha1.ConsumerGroup{ObjectMeta: metav1.ObjectMeta{Namespace: m.draw(rt, teams, "namespace"), Name: m.draw(rt, names(), "name")}})
}

// putMallorys is a neighbour's attempt at what is others': their names, their
// Topics, their groups.
func (m *model) putMallorys(rt *rapid.T) {
	m.rt = rt
	victim, name := m.draw(rt, teams, "victim"), m.draw(rt, names(), "name")
	// Mostly where the victim is.
	meta := metav1.ObjectMeta{Namespace: mallory, Name: m.draw(rt, []string{name, m.draw(rt, names(), "another name")}, "own name")}
	if rapid.Bool().Draw(rt, "a group") {
		group := &v1alpha1.ConsumerGroup{ObjectMeta: meta}
		m.put(group, func() {
			if group.ResourceVersion == "" && rapid.Bool().Draw(rt, "another's id") {
				group.Spec.GroupID = victim + "." + name
			}
			group.Spec.Principal, group.Spec.ClusterRef = "User:mallory", refOf(meta.Name)
			group.Spec.Topics = []v1alpha1.TopicReference{{Namespace: victim, Name: name}}
		})
		return
	}
	topic := &v1alpha1.Topic{ObjectMeta: meta}
	m.put(topic, func() {
		if topic.ResourceVersion == "" && rapid.Bool().Draw(rt, "another's topic") {
			topic.Spec.TopicName = victim + "." + name
		}
		topic.Spec.ClusterRef, topic.Spec.DeletionPolicy = refOf(meta.Name), v1alpha1.DeleteData
		topic.Spec.Access = []v1alpha1.Access{{
			Principal: "User:mallory", Allow: []v1alpha1.Right{v1alpha1.Produce, v1alpha1.Consume}, Groups: []string{victim + "." + name},
		}}
	})
}

// relabel changes what selectors say of a namespace.
func (m *model) relabel(rt *rapid.T) {
	m.rt = rt
	namespace := &corev1.Namespace{}
	m.must(m.api.Get(context.Background(), client.ObjectKey{Name: m.draw(rt, teams, "namespace")}, namespace))
	before := namespace.DeepCopy()
	if namespace.Labels["reads"] == "" {
		metav1.SetMetaDataLabel(&namespace.ObjectMeta, "reads", "yes")
	} else {
		delete(namespace.Labels, "reads")
	}
	m.must(m.api.Patch(context.Background(), namespace, client.MergeFrom(before)))
}

// forge writes into the status of a Topic what its team would like to be true, or
// nothing.
func (m *model) forge(rt *rapid.T) {
	m.rt = rt
	topic := &v1alpha1.Topic{}
	err := m.api.Get(context.Background(), client.ObjectKey{Namespace: m.draw(rt, append([]string{mallory}, teams...), "namespace"), Name: m.draw(rt, names(), "name")}, topic)
	if apierrors.IsNotFound(err) {
		return
	}
	m.must(err)
	before := topic.DeepCopy()
	topic.Status = v1alpha1.TopicStatus{ObservedGeneration: before.Status.ObservedGeneration}
	if rapid.Bool().Draw(rt, "forged") {
		topic.Status = *before.Status.DeepCopy()
		topic.Status.TopicName = m.draw(rt, teams, "victim") + "." + m.draw(rt, names(), "victim's")
		topic.Status.Cluster = m.draw(rt, clusters, "cluster")
	}
	m.accept(m.api.Status().Patch(context.Background(), topic, client.MergeFrom(before)))
}

// killAndRun kills the manager wherever it is, and starts another one.
func (m *model) killAndRun(rt *rapid.T) {
	m.rt = rt
	m.away(rt)
	m.run()
}

// away kills the manager; the next one starts when there is to be quiet.
func (m *model) away(rt *rapid.T) {
	m.rt = rt
	m.kill()
	m.killed = true
	m.wipe()
}

// wipe takes what status says of itself, while nobody is there to write it: whoever
// writes it again has seen the resource.
func (m *model) wipe() {
	now := m.specs()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"observedGeneration":-1}}`))
	for _, topic := range now.topics {
		m.accept(m.api.Status().Patch(context.Background(), &topic, patch))
	}
	for _, group := range now.groups {
		m.accept(m.api.Status().Patch(context.Background(), &group, patch))
	}
}

// trouble makes a Kafka cluster refuse requests, or cut the connections on which they
// come, until all is to be quiet. Only kfake can be told to.
func (m *model) trouble(rt *rapid.T) {
	m.rt = rt
	fake := m.kafka[m.draw(rt, clusters, "cluster")].Fake
	fault := kfake.Fault{Count: rapid.IntRange(1, 20).Draw(rt, "times"), Keys: []kmsg.Key{
		kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.IncrementalAlterConfigs, kmsg.CreateACLs, kmsg.DeleteACLs,
		kmsg.DescribeConfigs, kmsg.DescribeACLs,
	}}
	kind := m.draw(rt, []string{"cut", "NOT_CONTROLLER", "REQUEST_TIMED_OUT", "THROTTLING_QUOTA_EXCEEDED", "CLUSTER_AUTHORIZATION_FAILED"}, "trouble")
	if fake == nil {
		return
	}
	if kind == "cut" {
		left := &atomic.Int64{}
		left.Store(int64(fault.Count))
		for _, key := range fault.Keys {
			fake.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				fake.KeepControl()
				if left.Add(-1) < 0 {
					return nil, nil, false
				}
				return nil, errors.New("cut"), true
			})
		}
		m.troubles = append(m.troubles, func() { left.Store(0) })
		return
	}
	fault.Err = map[string]*kerr.Error{
		"NOT_CONTROLLER": kerr.NotController, "REQUEST_TIMED_OUT": kerr.RequestTimedOut,
		"THROTTLING_QUOTA_EXCEEDED": kerr.ThrottlingQuotaExceeded, "CLUSTER_AUTHORIZATION_FAILED": kerr.ClusterAuthorizationFailed,
	}[kind]
	m.troubles = append(m.troubles, fake.Fault(fault).Remove)
}

// touch writes all resources anew, so that whoever works on them meets conflicts.
func (m *model) touch(rt *rapid.T) {
	m.rt = rt
	m.touched++
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{"touched":"%d"}}}`, m.touched))
	now := m.specs()
	for _, topic := range now.topics {
		m.accept(m.api.Patch(context.Background(), &topic, patch))
	}
	for _, group := range now.groups {
		m.accept(m.api.Patch(context.Background(), &group, patch))
	}
}

// suspendCluster suspends a KafkaCluster until all is to be quiet.
func (m *model) suspendCluster(rt *rapid.T) {
	m.rt = rt
	m.setSuspended(m.draw(rt, clusters, "cluster"), true)
}

// rules has a KafkaCluster say in rules what holds without any, or take them back:
// everything is judged anew, and nothing changes.
func (m *model) rules(rt *rapid.T) {
	m.rt = rt
	cluster := &v1alpha1.KafkaCluster{}
	m.must(m.api.Get(context.Background(), client.ObjectKey{Name: m.draw(rt, clusters, "cluster")}, cluster))
	before := cluster.DeepCopy()
	if len(cluster.Spec.Naming.Rules) > 0 {
		cluster.Spec.Naming.Rules = nil
	} else {
		own := []v1alpha1.NamePattern{"${namespace}.*"}
		cluster.Spec.Naming.Rules = []v1alpha1.NamingRule{
			{Topics: own}, {Groups: own}, {TransactionalIDs: own},
			{Namespaces: &v1alpha1.NamespaceLabels{MatchLabels: map[string]v1alpha1.LabelValue{"nobody": "has-it"}}, Topics: []v1alpha1.NamePattern{"shop.*"}},
		}
	}
	m.must(m.api.Patch(context.Background(), cluster, client.MergeFrom(before)))
}

func (m *model) setSuspended(cluster string, suspended bool) {
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspended))
	m.must(m.api.Patch(context.Background(), &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: cluster}}, patch))
}

// calm ends what keeps Kafka from following.
func (m *model) calm() {
	for _, end := range m.troubles {
		end()
	}
	m.troubles = nil
	for _, cluster := range clusters {
		m.setSuspended(cluster, false)
	}
}

// byHandInKafka is what people do in Kafka past Weir, once all is quiet.
func (m *model) byHandInKafka(rt *rapid.T) {
	m.quiet(rt)
	ctx := context.Background()
	cluster := m.draw(rt, clusters, "cluster")
	admin := m.admin[cluster]
	switch m.draw(rt, []string{"acl", "deny", "topic", "config", "drift", "removed"}, "what") {
	case "acl":
		m.foreignACL(cluster, kadm.NewACLs().Allow("User:stranger").AllowHosts("*"), "ALLOW", "User:stranger", m.draw(rt, teams, "team")+"."+m.draw(rt, names(), "topic"))
	case "deny":
		m.foreignACL(cluster, kadm.NewACLs().Deny("User:alice").DenyHosts("*"), "DENY", "User:alice", m.draw(rt, teams, "team")+"."+m.draw(rt, names(), "topic"))
	case "topic":
		name := "legacy-" + m.draw(rt, names(), "name")
		retention := "12345"
		if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &retention}, name); err == nil {
			m.foreignTopics[cluster][name] = m.await(cluster, name)
		}
	case "config", "drift":
		m.setByHand(rt, cluster)
	case "removed":
		// It is put right at the next look.
		wanted := m.was.wanted(cluster)
		var candidates []string
		for one := range wanted.must {
			candidates = append(candidates, string(one))
		}
		if len(candidates) > 0 {
			slices.Sort(candidates)
			m.remove(cluster, m.draw(rt, candidates, "acl"))
		}
	}
	m.quiet(rt)
}

func (m *model) foreignACL(cluster string, builder *kadm.ACLBuilder, permission, principal, topic string) {
	results, err := m.admin[cluster].CreateACLs(context.Background(), builder.Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead))
	m.must(err)
	for _, result := range results {
		m.must(result.Err)
	}
	m.foreign[cluster][aclOf(permission, principal, "READ", "TOPIC", "LITERAL", topic)] = true
}

// setByHand changes the config of a topic of Weir's: a key that its spec has, which
// is put right, or another one, which is nobody else's business.
func (m *model) setByHand(rt *rapid.T, cluster string) {
	made := m.was.madeTopics(cluster)
	var candidates []string
	for name := range made {
		candidates = append(candidates, name)
	}
	if len(candidates) == 0 {
		return
	}
	slices.Sort(candidates)
	name := m.draw(rt, candidates, "topic")
	config, value := "retention.bytes", "1000000"
	if made[name].Spec.Config["retention.ms"] != "" && rapid.Bool().Draw(rt, "a key of the spec") {
		config, value = "retention.ms", "99999"
	} else {
		if m.byHand[cluster+"/"+name] == nil {
			m.byHand[cluster+"/"+name] = map[string]string{}
		}
		m.byHand[cluster+"/"+name][config] = value
	}
	results, err := m.admin[cluster].AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: config, Value: &value}}, name)
	m.must(err)
	for _, result := range results {
		m.must(result.Err)
	}
}

// remove removes one ACL that is Weir's.
func (m *model) remove(cluster, line string) {
	all, err := m.admin[cluster].DescribeACLs(context.Background(),
		kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations().ResourcePatternType(kadm.ACLPatternAny))
	m.must(err)
	for _, result := range all {
		for _, one := range result.Described {
			if aclOf(one.Permission.String(), one.Principal, one.Operation.String(), one.Type.String(), one.Pattern.String(), one.Name) != acl(line) {
				continue
			}
			builder := kadm.NewACLs().Allow(one.Principal).AllowHosts(one.Host).Operations(one.Operation).ResourcePatternType(one.Pattern)
			switch one.Type {
			case kmsg.ACLResourceTypeTopic:
				builder = builder.Topics(one.Name)
			case kmsg.ACLResourceTypeGroup:
				builder = builder.Groups(one.Name)
			}
			_, err := m.admin[cluster].DeleteACLs(context.Background(), builder)
			m.must(err)
			return
		}
	}
}

func deref(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
