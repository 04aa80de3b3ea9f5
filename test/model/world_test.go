package model

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

const (
	operatorNamespace = "weir-system"
	// mallory is the namespace of a neighbour who wants what is others'.
	mallory = "mallory"
)

// teams are the namespaces of those who mean well.
var teams = []string{"shop", "finance"}

// clusters are the names of the KafkaClusters. The first is the default one.
var clusters = []string{"main", "other"}

// world is everything that is real: an API server, two Kafka clusters, and the
// manager as a process of its own.
type world struct {
	rt     *rapid.T
	binary string
	kube   *kube.Cluster
	api    client.Client
	kafka  map[string]*env.Kafka
	admin  map[string]*kadm.Client

	manager *exec.Cmd
	output  *bytes.Buffer
	closers []func()
}

func newWorld(rt *rapid.T, binary string) *world {
	w := &world{rt: rt, binary: binary, kafka: map[string]*env.Kafka{}, admin: map[string]*kadm.Client{}, output: &bytes.Buffer{}}
	ctx := context.Background()
	var err error
	w.kube, err = kube.Start(ctx)
	w.must(err)
	w.onClose(func() { _ = w.kube.Close() })
	w.must(w.kube.InstallCRDs(ctx))
	w.api, err = client.New(w.kube.Config, client.Options{Scheme: controller.NewScheme()})
	w.must(err)
	for _, name := range append([]string{operatorNamespace, mallory}, teams...) {
		w.must(w.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	for i, name := range clusters {
		w.startKafka(ctx, name, i == 0)
	}
	for _, namespace := range teams {
		policy := &v1alpha1.DeadLetterPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "standard"}}
		policy.Spec.Retry.MaxAttempts = 3
		w.must(w.api.Create(ctx, policy))
	}
	w.run()
	return w
}

func (w *world) startKafka(ctx context.Context, name string, isDefault bool) {
	kafka, err := env.StartKafka(ctx)
	w.must(err)
	w.onClose(func() { _ = kafka.Close() })
	bare, err := kgo.NewClient(kafka.Options(kafka.Admin)...)
	w.must(err)
	w.onClose(bare.Close)
	w.kafka[name], w.admin[name] = kafka, kadm.NewClient(bare)
	w.must(w.api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "kafka-" + name},
		StringData: map[string]string{"username": kafka.Admin.Name, "password": kafka.Admin.Password},
	}))
	cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.KafkaClusterSpec{
		BootstrapServers: kafka.Bootstrap,
		SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLScramSHA512, SecretRef: v1alpha1.SecretReference{Name: "kafka-" + name}},
	}}
	if isDefault {
		cluster.Annotations = map[string]string{v1alpha1.DefaultClusterAnnotation: "true"}
	}
	w.must(w.api.Create(ctx, cluster))
}

func (w *world) must(err error) {
	w.rt.Helper()
	if err != nil {
		w.rt.Fatal(err)
	}
}

func (w *world) onClose(f func()) { w.closers = append(w.closers, f) }

func (w *world) close() {
	w.kill()
	for i := range w.closers {
		w.closers[len(w.closers)-1-i]()
	}
}

// run starts a manager. Nobody else may lead: it takes no lease, so that a killed
// one need not be waited for.
func (w *world) run() {
	health, err := freeAddress()
	w.must(err)
	cmd := exec.Command(w.binary, //nolint:noctx // kill ends it
		"--namespace="+operatorNamespace, "--worker-image=weir:test", "--health-listen="+health, "--metrics-listen=0", "--leader-elect=false",
		"--resync-interval=1s", "--lag-interval=200ms", "--status-interval=1s", "--poll-interval=200ms")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kube.Kubeconfig)
	cmd.Stdout, cmd.Stderr = w.output, w.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.must(cmd.Start())
	w.manager = cmd
}

// kill ends the manager wherever it is.
func (w *world) kill() {
	if w.manager == nil {
		return
	}
	_ = w.manager.Process.Kill() // it may have ended
	_ = w.manager.Wait()
	w.manager = nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// acl is an ACL as Kafka shows it, DENY included.
type acl string

// acls are all ACLs of a Kafka cluster.
func (w *world) acls(cluster string) (map[acl]bool, error) {
	builder := kadm.NewACLs().AnyResource().Allow().AllowHosts().Deny().DenyHosts().Operations().ResourcePatternType(kadm.ACLPatternAny)
	results, err := w.admin[cluster].DescribeACLs(context.Background(), builder)
	if err != nil {
		return nil, err
	}
	all := map[acl]bool{}
	for _, result := range results {
		if result.Err != nil {
			return nil, result.Err
		}
		for _, one := range result.Described {
			all[aclOf(one.Permission.String(), one.Principal, one.Operation.String(), one.Type.String(), one.Pattern.String(), one.Name)] = true
		}
	}
	return all, nil
}

func aclOf(permission, principal, operation, resource, pattern, name string) acl {
	return acl(fmt.Sprintf("%s %s %s %s %s %s", permission, principal, operation, resource, pattern, name))
}

// kafkaTopic is a topic as Kafka shows it: what was set on it, and nothing that
// follows from the broker's defaults.
type kafkaTopic struct {
	ID         kadm.TopicID
	Partitions int
	Config     map[string]string
}

// topics are all topics of a Kafka cluster that are not its own.
func (w *world) topics(cluster string) (map[string]kafkaTopic, error) {
	ctx := context.Background()
	admin := w.admin[cluster]
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]kafkaTopic{}
	for name, detail := range details {
		if detail.Err != nil {
			return nil, detail.Err
		}
		all[name] = kafkaTopic{ID: detail.ID, Partitions: len(detail.Partitions), Config: map[string]string{}}
	}
	if len(all) == 0 {
		return all, nil
	}
	configs, err := admin.DescribeTopicConfigs(ctx, details.Names()...)
	if err != nil {
		return nil, err
	}
	for _, config := range configs {
		for _, one := range config.Configs {
			if topic, known := all[config.Name]; known && one.Source.String() == "DYNAMIC_TOPIC_CONFIG" && one.Value != nil {
				topic.Config[one.Key] = *one.Value
			}
		}
	}
	return all, nil
}

// await is a topic once the brokers show it.
func (w *world) await(cluster, name string) kafkaTopic {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		topics, err := w.topics(cluster)
		w.must(err)
		if topic, there := topics[name]; there && topic.Partitions > 0 {
			return topic
		}
	}
	w.rt.Fatalf("the brokers do not show topic %s", name)
	return kafkaTopic{}
}
