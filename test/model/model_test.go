package model

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/operator"
)

var (
	seed  = flag.Uint64("model.seed", 1, "the seed of what happens")
	steps = flag.Int("model.steps", 12, "how much happens, about")

	quietPoints, stepsDone int
)

func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{
		"rapid.checks": "1", "rapid.seed": strconv.FormatUint(*seed, 10), "rapid.nofailfile": "true", "rapid.shrinktime": "1m",
	} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	env.Main(telling{m})
}

// patience is how long Kafka may take until it is as it must be.
const patience = 2 * time.Minute

// TestModel does at random what people do, and compares with the oracle whenever
// all is quiet.
func TestModel(t *testing.T) {
	binary := operator.Binary(t)
	rapid.Check(t, func(rt *rapid.T) {
		quietPoints, stepsDone = 0, 0
		m := newModel(rt, binary)
		defer m.close()
		m.quiet(rt)
		m.populate(rt)
		m.note(rt)
		names, do := m.actions()
		for range *steps {
			stepsDone++
			do[rapid.SampledFrom(names).Draw(rt, "action")](rt)
			m.note(rt)
		}
		m.quiet(rt)
	})
}

// model is the world, and what the oracle remembers of it.
type model struct {
	*world
	// allowed are ACLs that may be there although nobody wants them: what was
	// wanted while the manager was away may stay for ten minutes.
	allowed map[string]map[acl]bool
	// since are the ACLs that were wanted at any time since it was quiet last, and
	// killed says whether the manager was killed since then.
	since  map[string]map[acl]bool
	killed bool
	// foreign are ACLs and topics that are somebody else's.
	foreign       map[string]map[acl]bool
	foreignTopics map[string]map[string]kafkaTopic
	// ids are the topics of Weir's as they were seen last.
	ids map[string]map[string]kadm.TopicID
	// byHand are config keys that somebody else has set on topics of Weir's.
	byHand map[string]map[string]string // "cluster/topic" → key → value
	// set are values that specs had since it was quiet last, and may still be there
	// where the manager was killed: "cluster/topic/key" → values.
	set map[string]map[string]bool
	// deleted are topics whose deletion was asked for by their Topic's policy, and
	// perhaps are the ones of which that cannot be told.
	deleted, perhaps map[string]map[string]bool
	was              specs
	// troubles end what Kafka clusters have been told to do wrong, and touched counts
	// how often everything was written anew.
	troubles []func()
	touched  int
}

func newModel(rt *rapid.T, binary string) *model {
	m := &model{
		allowed: map[string]map[acl]bool{}, since: map[string]map[acl]bool{}, foreign: map[string]map[acl]bool{},
		foreignTopics: map[string]map[string]kafkaTopic{}, ids: map[string]map[string]kadm.TopicID{},
		byHand: map[string]map[string]string{}, set: map[string]map[string]bool{},
		deleted: map[string]map[string]bool{}, perhaps: map[string]map[string]bool{},
	}
	for _, cluster := range clusters {
		m.allowed[cluster], m.since[cluster], m.foreign[cluster] = map[acl]bool{}, map[acl]bool{}, map[acl]bool{}
		m.foreignTopics[cluster], m.ids[cluster] = map[string]kafkaTopic{}, map[string]kadm.TopicID{}
		m.deleted[cluster], m.perhaps[cluster] = map[string]bool{}, map[string]bool{}
	}
	m.world = newWorld(rt, binary)
	m.was = m.specs()
	return m
}

// specs reads what is declared.
func (m *model) specs() specs {
	ctx := context.Background()
	s := specs{topics: map[string]v1alpha1.Topic{}, groups: map[string]v1alpha1.ConsumerGroup{}, labels: map[string]map[string]string{}}
	var topics v1alpha1.TopicList
	m.must(m.api.List(ctx, &topics))
	for _, topic := range topics.Items {
		s.topics[key(topic.Namespace, topic.Name)] = topic
	}
	var groups v1alpha1.ConsumerGroupList
	m.must(m.api.List(ctx, &groups))
	for _, group := range groups.Items {
		s.groups[key(group.Namespace, group.Name)] = group
	}
	var namespaces corev1.NamespaceList
	m.must(m.api.List(ctx, &namespaces))
	for _, namespace := range namespaces.Items {
		s.labels[namespace.Name] = namespace.Labels
	}
	return s
}

// note remembers after each action what was wanted for a while, and what became of
// Topics.
func (m *model) note(rt *rapid.T) {
	m.rt = rt
	now := m.specs()
	for _, cluster := range clusters {
		wanted := now.wanted(cluster)
		maps.Copy(m.since[cluster], union(wanted.must, wanted.keep))
	}
	for of, topic := range m.was.topics {
		cluster, name := clusterOf(topic.Spec.ClusterRef), topicName(topic)
		if is, there := now.topics[of]; there && is.DeletionTimestamp.IsZero() {
			continue
		}
		if topic.Spec.DeletionPolicy == v1alpha1.DeleteData && !topic.Spec.Suspend && mayName(topic.Namespace, name) {
			m.deleted[cluster][name] = true
		}
	}
	for _, topic := range now.topics {
		cluster, name := clusterOf(topic.Spec.ClusterRef), topicName(topic)
		if topic.DeletionTimestamp.IsZero() && mayName(topic.Namespace, name) {
			if m.deleted[cluster][name] {
				m.perhaps[cluster][name] = true // gone and declared again
			}
			for config, value := range topic.Spec.Config {
				at := cluster + "/" + name + "/" + config
				if m.set[at] == nil {
					m.set[at] = map[string]bool{}
				}
				m.set[at][value] = true
			}
		}
	}
	m.was = now
}

// quiet waits until Kafka is as the oracle says.
func (m *model) quiet(rt *rapid.T) {
	m.rt = rt
	m.calm()
	if m.manager == nil {
		m.run()
	}
	began := time.Now()
	var wrong string
	for wrong = m.wrong(); wrong != "" && time.Since(began) < patience; wrong = m.wrong() {
		time.Sleep(100 * time.Millisecond) // between two looks; nothing depends on it
	}
	if wrong != "" {
		rt.Fatalf("Kafka is not as declared after %s:\n%s\nthe manager said:\n%s", patience, wrong, tail(m.output.String()))
	}
	quietPoints++
	now := m.specs()
	for _, cluster := range clusters {
		if m.killed {
			maps.Copy(m.allowed[cluster], m.since[cluster])
		}
		wanted := now.wanted(cluster)
		// Of what is only kept, nobody can say from outside whether it was granted.
		maps.Copy(m.allowed[cluster], wanted.keep)
		for one := range wanted.must {
			delete(m.allowed[cluster], one)
		}
		m.since[cluster] = union(wanted.must, wanted.keep)
		// A deletion that a killed manager still owes comes later.
		declared := now.madeTopics(cluster)
		for name := range m.deleted[cluster] {
			_, there := m.ids[cluster][name]
			if _, again := declared[name]; again || !there {
				delete(m.deleted[cluster], name)
				delete(m.perhaps[cluster], name)
			}
		}
	}
	if !m.killed {
		clear(m.set)
	}
	m.killed = false
	m.was = now
	m.note(rt)
}

func tail(text string) string { return text[max(0, len(text)-3000):] }

// wrong says how Kafka differs from what it must be; empty where it does not.
func (m *model) wrong() string {
	now := m.specs()
	var all []string
	for _, cluster := range clusters {
		all = append(all, m.wrongACLs(cluster, now), m.wrongTopics(cluster, now))
	}
	all = append(all, unseen(now))
	return strings.Join(slices.DeleteFunc(all, func(one string) bool { return one == "" }), "\n")
}

// unseen says which resource the manager has not looked at as it is now: what
// becomes of it before the manager has is another's business.
func unseen(now specs) string {
	var all []string
	for of, topic := range now.topics {
		if topic.DeletionTimestamp.IsZero() && topic.Status.ObservedGeneration != topic.Generation {
			all = append(all, "Topic "+of)
		}
	}
	for of, group := range now.groups {
		if group.DeletionTimestamp.IsZero() && group.Status.ObservedGeneration != group.Generation {
			all = append(all, "ConsumerGroup "+of)
		}
	}
	return lines("not seen", all)
}

func (m *model) wrongACLs(cluster string, now specs) string {
	have, err := m.acls(cluster)
	if err != nil {
		return err.Error()
	}
	wanted := now.wanted(cluster)
	// What an owner refuses is taken back, whatever was granted before.
	refused := map[acl]bool{}
	for _, group := range now.groups {
		_, not, _ := now.groupACLs(group)
		for _, one := range not {
			refused[one] = !wanted.must[one] && !wanted.keep[one] && !m.killed
		}
	}
	must := union(wanted.must, m.foreign[cluster])
	may := union(must, wanted.keep, m.allowed[cluster])
	if m.killed {
		may = union(may, m.since[cluster])
	}
	var wrong []string
	for one := range must {
		if !have[one] {
			wrong = append(wrong, "missing "+string(one))
		}
	}
	for one := range have {
		if !may[one] || refused[one] && !m.foreign[cluster][one] && !m.allowed[cluster][one] {
			wrong = append(wrong, "too much "+string(one))
		}
	}
	return lines(cluster, wrong)
}

func (m *model) wrongTopics(cluster string, now specs) string {
	have, err := m.topics(cluster)
	if err != nil {
		return err.Error()
	}
	var wrong []string
	for name, foreign := range m.foreignTopics[cluster] {
		if diff := cmp.Diff(foreign, have[name]); diff != "" {
			wrong = append(wrong, "foreign topic "+name+":\n"+diff)
		}
	}
	made := now.madeTopics(cluster)
	for name, topic := range made {
		is, there := have[name]
		if !there {
			wrong = append(wrong, "no topic "+name)
			continue
		}
		if wants := topic.Spec.Partitions; wants != nil && is.Partitions < int(*wants) {
			// More there may be: Kafka takes none away, and a Topic may come back.
			wrong = append(wrong, fmt.Sprintf("topic %s has %d partitions, not %d", name, is.Partitions, *wants))
		}
		wrong = append(wrong, m.wrongConfig(cluster, name, topic, is)...)
	}
	// No topic goes but by its holder's policy, and none that is to go stays.
	for name, id := range m.ids[cluster] {
		is, there := have[name]
		gone := m.deleted[cluster][name]
		switch {
		case gone && there && is.ID == id && !m.perhaps[cluster][name] && !m.killed && !isDeclared(now, cluster, name):
			wrong = append(wrong, "topic "+name+" is still there")
		case !gone && (!there || is.ID != id):
			wrong = append(wrong, fmt.Sprintf("topic %s was %x and is %x", name, id, is.ID))
		}
	}
	if len(wrong) == 0 {
		for name, topic := range have {
			if _, foreign := m.foreignTopics[cluster][name]; !foreign {
				m.ids[cluster][name] = topic.ID
			}
		}
		for name := range m.ids[cluster] {
			if _, there := have[name]; !there {
				delete(m.ids[cluster], name)
				delete(m.byHand, cluster+"/"+name)
			}
		}
	}
	return lines(cluster, wrong)
}

// isDeclared says whether a Topic with that name is there, if only to wait for its
// users before it goes.
func isDeclared(now specs, cluster, name string) bool {
	for _, topic := range now.topics {
		if clusterOf(topic.Spec.ClusterRef) == cluster && topicName(topic) == name {
			return true
		}
	}
	return false
}

func (m *model) wrongConfig(cluster, name string, topic v1alpha1.Topic, is kafkaTopic) []string {
	var wrong []string
	want := maps.Clone(map[string]string(topic.Spec.Config))
	if want == nil {
		want = map[string]string{}
	}
	maps.Copy(want, m.byHand[cluster+"/"+name])
	for config, value := range want {
		if is.Config[config] != value {
			wrong = append(wrong, fmt.Sprintf("topic %s: %s is %q, not %q", name, config, is.Config[config], value))
		}
	}
	for config, value := range is.Config {
		if _, wanted := want[config]; !wanted && !m.set[cluster+"/"+name+"/"+config][value] {
			wrong = append(wrong, fmt.Sprintf("topic %s: %s is %q, and nobody wants that", name, config, value))
		} else if !wanted && !m.killed && !m.perhaps[cluster][name] {
			wrong = append(wrong, fmt.Sprintf("topic %s: %s is still %q", name, config, value))
		}
	}
	return wrong
}

func lines(cluster string, wrong []string) string {
	if len(wrong) == 0 {
		return ""
	}
	slices.Sort(wrong)
	return cluster + ":\n  " + strings.Join(wrong, "\n  ")
}

// telling prints the result as the last line.
type telling struct{ *testing.M }

// Run runs the tests.
func (t telling) Run() int {
	code := t.M.Run()
	held := "held"
	if code != 0 {
		held = "broken"
	}
	fmt.Printf("model: seed=%d steps=%d quiet=%d %s\n", *seed, stepsDone, quietPoints, held)
	return code
}
