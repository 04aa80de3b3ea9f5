package controller_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/harness"
	"github.com/weir-dev/weir/internal/controller/kafkacluster"
	"github.com/weir-dev/weir/internal/controller/settle"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

// lives is how many sequences of misfortunes TestLaws plays, each from its own seed.
var lives = flag.Int("laws.lives", 8, "how many sequences of misfortunes TestLaws plays")

// TestLaws holds the law of the record: whatever becomes of every status, of the
// record, of the resources while nobody looks, and of the operator between any two
// of its requests, Kafka does not change but by the specs; nothing foreign is
// touched; and no topic goes but by the deletionPolicy of its holder.
func TestLaws(t *testing.T) {
	t.Parallel()
	misfortunes := (*life).misfortunes
	names := slices.Sorted(maps.Keys(misfortunes(nil)))
	sequences := rapid.SliceOfN(rapid.SampledFrom(names), 4, 7)
	for seed := range *lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLife(t)
			do := l.misfortunes()
			for _, name := range sequences.Example(seed) {
				l.Logf("%s", name)
				do[name]()
				l.holds()
			}
			l.ends()
		})
	}
}

// life is an operator, what is declared, and what Kafka must be like for it.
type life struct {
	*harness.Harness
	cluster *v1alpha1.KafkaCluster
	// gone has a topic that goes with its Topic, kept one that stays.
	gone, kept *v1alpha1.Topic
	group      *v1alpha1.ConsumerGroup
	admin      *kadm.Client

	topics map[string]kafka.Topic // that are to be there
	must   map[kafka.Binding]bool
	// may are bindings that nobody wants any more: whether they go depends on what
	// becomes of the record.
	may map[kafka.Binding]bool
	// foreign is what is not Weir's.
	foreign       kafka.Binding
	older         []corev1.ConfigMap // a record of before
	alice         bool               // may produce to kept
	writers       int                // Kubernetes clusters that wrote the record
	foreignTopics []string
}

func newLife(t *testing.T) *life {
	h := harness.NewOn(t, env.SharedFake(t))
	l := &life{Harness: h, admin: kadm.NewClient(h.Kafka.Client(t, h.Kafka.Admin)), may: map[kafka.Binding]bool{}}
	// They are there before anybody declares anything.
	l.foreignTopics = []string{h.Namespace + ".legacy", "legacy-" + h.Namespace}
	for _, name := range l.foreignTopics {
		h.MakeTopic(name, 2, map[string]string{"retention.ms": "12345"})
	}
	l.foreign = kafka.Consume("User:stranger", h.Namespace+".kept")[0]
	h.Must(errors.Join(h.Admin().CreateBindings(t.Context(), []kafka.Binding{l.foreign})...))
	l.cluster = h.Cluster(h.WithRetryWorker)
	l.gone = h.ReadyTopic("gone", harness.DeleteData, harness.WithAccess, harness.OnePartition, func(topic *v1alpha1.Topic) {
		topic.Spec.Config = v1alpha1.TopicConfig{"retention.ms": "3600000"}
	})
	l.kept = h.ReadyTopic("kept", harness.WithAccess)
	h.Policy("standard")
	l.group = h.ReadyGroup("reader", harness.WithPolicy, func(group *v1alpha1.ConsumerGroup) {
		group.Spec.Topics = []v1alpha1.TopicReference{{Name: "gone"}, {Name: "kept"}}
	})
	h.Await(func() string { // the retry worker's own right comes with a pass over the cluster
		_, _ = h.Pass(l.cluster)
		l.topics, l.must = l.haveTopics(), l.haveBindings()
		for binding := range l.must {
			if binding.Resource == kafka.ResourceGroup && binding.Principal == h.RetryPrincipal() {
				return ""
			}
		}
		return "the retry worker may not read yet"
	})
	if len(l.topics) < 6 || len(l.must) < 8 {
		t.Fatalf("too little is there to lose: %v, %v", l.topics, l.must)
	}
	l.older = l.Record()
	return l
}

func (l *life) residents() []settle.Object { return []settle.Object{l.gone, l.kept, l.group} }

// haveTopics are the topics of this life.
func (l *life) haveTopics() map[string]kafka.Topic {
	details, err := l.admin.ListTopics(l.Context())
	l.Must(err)
	details.FilterInternal()
	mine := slices.DeleteFunc(details.Names(), func(name string) bool { return !strings.Contains(name, l.Namespace) })
	all, err := l.Admin().ObserveTopics(l.Context(), mine)
	l.Must(err)
	return all
}

// haveBindings are the ACL bindings of this life.
func (l *life) haveBindings() map[kafka.Binding]bool {
	found, err := l.Admin().Bindings(l.Context())
	l.Must(err)
	all := map[kafka.Binding]bool{}
	for binding := range found {
		if strings.Contains(binding.Name+binding.Principal, l.Namespace) {
			all[binding] = true
		}
	}
	return all
}

// wrong says how Kafka is not what the specs say.
func (l *life) wrong() string {
	have := l.haveBindings()
	for binding := range l.may {
		if !l.must[binding] {
			delete(have, binding)
		}
	}
	return cmp.Diff(l.topics, l.haveTopics()) + cmp.Diff(l.must, have)
}

// holds makes passes until all is Ready, and compares.
func (l *life) holds() {
	l.Helper()
	_, _ = l.Pass(l.cluster) // its conditions say more
	for _, obj := range l.residents() {
		if l.Gone(obj) {
			continue
		}
		l.PassUntilReady(obj)
	}
	l.Await(l.wrong)
}

// ends deletes what is declared, and sees what stays.
func (l *life) ends() {
	l.Delete(l.group)
	l.WantsGone(l.group)
	l.Delete(l.gone)
	l.Await(func() string {
		_, _ = l.Pass(l.gone)
		if !l.Gone(l.gone) {
			return fmt.Sprintf("the Topic is still there: %+v", l.Condition(l.gone, v1alpha1.ConditionReady))
		}
		return ""
	})
	l.Delete(l.kept)
	l.WantsGone(l.kept)
	delete(l.topics, l.Namespace+".gone")
	l.Await(func() string {
		_, _ = l.Pass(l.cluster)
		have := l.haveBindings()
		for binding := range have {
			drains := binding.Principal == l.RetryPrincipal()
			if binding != l.foreign && !drains && !l.may[binding] {
				return "nobody wants " + binding.String()
			}
		}
		if !have[l.foreign] {
			return "the stranger's binding is gone"
		}
		return cmp.Diff(l.topics, l.haveTopics())
	})
}

// misfortunes are what may happen.
func (l *life) misfortunes() map[string]func() {
	return map[string]func(){
		"every status is wiped":                       l.wipe,
		"every status is forged":                      l.forge,
		"a tenant forges a retry worker":              l.forgeWorker,
		"the operator is killed":                      func() { l.Restart() },
		"the operator is killed between two requests": l.killBetween,
		"a spec changes":                              l.change,
		"the record is deleted while it runs":         l.lose,
		"the record is deleted while nobody runs":     func() { l.Restart(l.lose) },
		"an older record is restored":                 func() { l.Restart(l.restore) },
		"the resources are away, and come back":       l.away,
		"the record was read elsewhere":               l.elsewhere,
		"the group is seen before its topics":         func() { l.Restart(l.lose); _, _ = l.Pass(l.group); l.Restart() },
		"all is suspended for a while":                l.suspend,
	}
}

// suspend suspends everything, has the record lost meanwhile, and goes on.
func (l *life) suspend() {
	set := func(suspend bool) {
		for _, obj := range l.residents() {
			l.Update(obj, func() {
				switch o := obj.(type) {
				case *v1alpha1.Topic:
					o.Spec.Suspend = suspend
				case *v1alpha1.ConsumerGroup:
					o.Spec.Suspend = suspend
				}
			})
			if suspend {
				_, _ = l.Pass(obj)
			}
		}
	}
	set(true)
	l.Restart(l.lose)
	for _, obj := range l.residents() {
		_, _ = l.Pass(obj)
	}
	_, _ = l.Pass(l.cluster)
	l.Await(l.wrong)
	set(false)
}

// writeStatus replaces the status of every resource, as its owner might.
func (l *life) writeStatus(change func(settle.Object)) {
	for _, obj := range append(l.residents(), settle.Object(l.cluster)) {
		l.Must(l.Live.Get(l.Context(), harness.KeyOf(obj), obj))
		change(obj)
		l.Must(l.Live.Status().Update(l.Context(), obj))
	}
}

func (l *life) wipe() {
	l.writeStatus(func(obj settle.Object) {
		switch o := obj.(type) {
		case *v1alpha1.Topic:
			o.Status = v1alpha1.TopicStatus{}
		case *v1alpha1.ConsumerGroup:
			o.Status = v1alpha1.ConsumerGroupStatus{}
		case *v1alpha1.KafkaCluster:
			conditions := o.Status.Conditions // the platform's own; without Ready nothing is done
			o.Status = v1alpha1.KafkaClusterStatus{Conditions: conditions}
		}
	})
}

func (l *life) forge() {
	l.writeStatus(func(obj settle.Object) {
		switch o := obj.(type) {
		case *v1alpha1.Topic:
			o.Status.TopicName, o.Status.Cluster = l.foreignTopics[0], "another"
			o.Status.TopicID = l.topics[l.foreignTopics[0]].ID
			o.Status.Grants, o.Status.Partitions = 0, 99
		case *v1alpha1.ConsumerGroup:
			o.Status.GroupID, o.Status.Cluster = "another", "another"
			o.Status.DeadLetters = &v1alpha1.DeadLetterStatus{Topic: l.foreignTopics[0], WaitTopics: 17}
		case *v1alpha1.KafkaCluster:
			o.Status.ClusterID, o.Status.Authorizer = "another", v1alpha1.AuthorizerDisabled
		}
	})
}

// forgeWorker puts a pod and files of a retry worker into the team's namespace.
func (l *life) forgeWorker() {
	var worker appsv1.Deployment
	l.Must(l.Live.Get(l.Context(), client.ObjectKey{Namespace: l.Operator, Name: kafkacluster.RetryWorkerName(l.cluster.Name)}, &worker))
	meta := metav1.ObjectMeta{Namespace: l.Namespace, GenerateName: "weir-record-", Labels: worker.Spec.Template.Labels}
	l.Must(l.Live.Create(l.Context(), &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"log": "forged"}}))
	l.Must(l.Live.Create(l.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "forged"}}}}))
}

// killBetween lets nothing reach the API server after some writes of one round of
// passes, and kills the operator then.
func (l *life) killBetween() {
	l.wipe() // so that there is something to write
	l.change()
	for _, after := range []int64{0, 1, 2} {
		var left atomic.Int64 // the lookups of one pass are made at once
		left.Store(after)
		restore := l.API.Breaking(func(*http.Request) error {
			if left.Add(-1) < 0 {
				return errors.New("killed")
			}
			return nil
		})
		for _, obj := range l.residents() {
			switch obj.(type) {
			case *v1alpha1.Topic:
				_, _ = l.Running.Topic.Reconcile(l.Context(), harness.RequestOf(obj))
			default:
				_, _ = l.Running.Group.Reconcile(l.Context(), harness.RequestOf(obj))
			}
		}
		l.Restart(restore)
	}
}

// right is what is granted and taken back.
func (l *life) right() kafka.Binding { return kafka.Produce("User:alice", l.Namespace+".kept")[0] }

// change grants a right, or takes it back.
func (l *life) change() {
	right := l.right()
	l.alice = !l.alice
	access := v1alpha1.Access{Principal: "User:alice", Allow: []v1alpha1.Right{v1alpha1.Produce}}
	l.Update(l.kept, func() {
		if l.kept.Spec.Access = l.kept.Spec.Access[:1]; l.alice {
			l.kept.Spec.Access = append(l.kept.Spec.Access, access)
		}
	})
	delete(l.must, right)
	if l.alice {
		l.must[right] = true
	} else {
		l.may[right] = true
	}
}

func (l *life) lose() {
	for _, one := range l.Record() {
		l.Must(client.IgnoreNotFound(l.Live.Delete(l.Context(), &one)))
	}
}

// restore puts a record back of before anything changed. What was granted since is
// found there, and so somebody else's.
func (l *life) restore() {
	l.lose()
	l.may[l.right()] = true
	for _, one := range l.older {
		one.ResourceVersion, one.UID = "", ""
		l.Must(l.Live.Create(l.Context(), &one))
	}
}

// away takes all resources away while nobody runs, as where the record was restored
// without them, or their CustomResourceDefinitions came back empty; and has them
// back. Nobody asked for anything to go.
func (l *life) away() {
	l.Restart(func() {
		for _, obj := range l.residents() {
			l.Edit(obj, func() { controllerutil.RemoveFinalizer(obj, v1alpha1.Finalizer) })
			l.Delete(obj)
		}
	})
	for _, obj := range l.residents() {
		_, _ = l.Pass(obj)
	}
	_, _ = l.Pass(l.cluster)
	l.Running.Estates.Of(l.cluster.Name).Sweep()
	if wrong := l.wrong(); wrong != "" {
		l.Fatalf("nobody asked for it:\n%s", wrong)
	}
	for _, obj := range l.residents() {
		obj.SetResourceVersion("")
		obj.SetUID("")
		obj.SetDeletionTimestamp(nil)
		obj.SetFinalizers(nil)
		l.Create(obj)
	}
}

// elsewhere has the record read in another Kubernetes cluster than the one that wrote
// it: nothing is removed until the KafkaCluster agrees.
func (l *life) elsewhere() {
	l.writers++
	writer := fmt.Sprintf("00000000-0000-0000-0000-%012d", l.writers)
	found := false
	l.Restart(func() {
		for _, one := range l.Record() {
			if one.Data["writer"] != "" {
				found, one.Data["writer"] = true, writer
				l.Must(l.Live.Update(l.Context(), &one))
			}
		}
	})
	before := l.haveBindings()
	l.change()
	l.PassUntilReady(l.kept)
	_, _ = l.Pass(l.cluster)
	if found { // else it was lost, and is written by this one
		l.Wants(l.cluster, v1alpha1.ConditionRecordElsewhere, metav1.ConditionTrue, v1alpha1.ReasonOtherKubernetes, writer)
		for binding := range before {
			if !l.haveBindings()[binding] {
				l.Errorf("removed although another Kubernetes cluster wrote the record: %s", binding)
			}
		}
	}
	l.Update(l.cluster, func() { metav1.SetMetaDataAnnotation(&l.cluster.ObjectMeta, v1alpha1.TakeRecordAnnotation, writer) })
	l.Await(func() string {
		_, _ = l.Pass(l.cluster)
		return l.Condition(l.cluster, v1alpha1.ConditionRecordElsewhere).Message
	})
}
