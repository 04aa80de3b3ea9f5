package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/test/env/kube"
)

// entries are one of each kind, with all that can be said of them.
var entries = []record.Change{
	{Key: record.Key{Kind: record.Binding, Name: "User:shop * READ TOPIC LITERAL orders"}, Entry: &record.Entry{
		Phase: record.Leaving, Found: true, Since: time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC), Cause: "asked",
	}},
	{Key: record.Key{Kind: record.Binding, Name: "User:shop * WRITE TOPIC LITERAL orders"}, Entry: &record.Entry{Phase: record.Intended}},
	{Key: record.Key{Kind: record.Topic, Name: "orders"}, Entry: &record.Entry{
		Phase: record.Held, Holder: record.Ref{Kind: "Topic", Namespace: "shop", Name: "orders"}, ID: "u1HbMZtJTSm0A5ZnYXfwXw",
		Set: map[string]string{"retention.ms": "60000", "cleanup.policy": "delete"},
	}},
	{Key: record.Key{Kind: record.Group, Name: "billing"}, Entry: &record.Entry{
		Phase: record.Held, Holder: record.Ref{Kind: "ConsumerGroup", Namespace: "finance", Name: "billing"}, Lane: &record.Lane{Waits: 3, Drain: record.ToRetry},
	}},
	{Key: record.Key{Kind: record.Group, Name: "clear\x1b[2J"}, Entry: &record.Entry{Phase: record.Held}},
}

const (
	wantText = `KafkaCluster other acts for Kafka cluster 5L6g3nShT-eMCtK--X86sw
KafkaCluster main acts for Kafka cluster main
KafkaCluster main is the default
Kafka cluster 5L6g3nShT-eMCtK--X86sw, entries: 1, kept by the Kubernetes cluster whose kube-system has the UID there
  TransactionalID  Held      outbox
Kafka cluster main, entries: 5, kept by the Kubernetes cluster whose kube-system has the UID here
  Binding          Leaving   User:shop * READ TOPIC LITERAL orders  (since 2026-11-26T20:00:00Z, because a resource changed or was deleted, found)
  Binding          Intended  User:shop * WRITE TOPIC LITERAL orders
  Group            Held      billing  (held by ConsumerGroup finance/billing, 3 wait topics, drained to the retry topic)
  Group            Held      "clear\x1b[2J"
  Topic            Held      orders  (held by Topic shop/orders, id u1HbMZtJTSm0A5ZnYXfwXw, sets cleanup.policy retention.ms)
`
	wantJSON = `{"root":{"default":"main","acting":{"5L6g3nShT-eMCtK--X86sw":"other","main":"main"}}}
{"cluster":"5L6g3nShT-eMCtK--X86sw","entry":{"kind":"TransactionalID","name":"outbox","phase":"Held"}}
{"cluster":"main","entry":{"kind":"Binding","name":"User:shop * READ TOPIC LITERAL orders","phase":"Leaving","found":true,"since":"2026-11-26T20:00:00Z","cause":"asked"}}
{"cluster":"main","entry":{"kind":"Binding","name":"User:shop * WRITE TOPIC LITERAL orders","phase":"Intended"}}
{"cluster":"main","entry":{"kind":"Group","name":"billing","phase":"Held","holder":"ConsumerGroup finance/billing","waits":3,"drain":"Retry"}}
{"cluster":"main","entry":{"kind":"Group","name":"clear\u001b[2J","phase":"Held"}}
{"cluster":"main","entry":{"kind":"Topic","name":"orders","phase":"Held","holder":"Topic shop/orders","id":"u1HbMZtJTSm0A5ZnYXfwXw","set":{"cleanup.policy":"delete","retention.ms":"60000"}}}
`
)

func TestRecord(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	namespace := control.Namespace(t)
	live, err := client.New(control.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := func(cluster, writer string, changes ...record.Change) {
		t.Helper()
		book := record.Open(record.Options{Client: live, Namespace: namespace, ClusterID: cluster, Writer: writer})
		defer book.Close()
		if _, err := book.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := book.Store(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	in := func(args ...string) *exec.Cmd { return asked(t, control.Kubeconfig, args...) }

	if _, said := output(in("record", "--namespace="+namespace)); said != "manager: there is no record in namespace "+namespace+"\n" {
		t.Errorf("of nothing it said %q", said)
	}
	root := record.NewRoot(live, namespace, nil)
	if err := root.Store(t.Context(), func(roots *record.Roots) {
		roots.Default, roots.Acting = "main", map[string]string{"main": "main", "5L6g3nShT-eMCtK--X86sw": "other"}
	}); err != nil {
		t.Fatal(err)
	}
	store("main", "here", entries...)
	store("5L6g3nShT-eMCtK--X86sw", "there", record.Change{
		Key: record.Key{Kind: record.TransactionalID, Name: "outbox"}, Entry: &record.Entry{Phase: record.Held},
	})
	for format, want := range map[string]string{"text": wantText, "json": wantJSON} {
		printed, said := output(in("record", "--namespace="+namespace, "-o", format))
		if diff := cmp.Diff(want, printed); diff != "" || said != "" {
			t.Errorf("%s (-want +got):\n%s%s", format, diff, said)
		}
	}

	// In the pod the namespace is known; and one bad record hides no other.
	bad := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "weir-record-strange"}}
	if err := live.Create(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	pod := in("record")
	pod.Env = append(pod.Env, "POD_NAMESPACE="+namespace)
	printed, said := output(pod)
	if printed != wantText || !strings.HasPrefix(said, "manager: ConfigMap "+namespace+"/weir-record-strange, which holds what Weir owns, cannot be read") {
		t.Errorf("it printed %q and said %q", printed, said)
	}
}

func TestRecordRefuses(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	for want, args := range map[string][]string{
		`unexpected argument "main"`:         {"main"},
		`-o must be text or json, is "yaml"`: {"-o=yaml"},
		"finding the API server: ":           nil,
		flag.ErrHelp.Error():                 {"--help"},
	} {
		if err := showRecord(context.Background(), args, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", args, err, want)
		}
	}
}

// asked is the manager as a process that ends by itself.
func asked(t *testing.T, kubeconfig string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asManager+"=yes", "KUBECONFIG="+kubeconfig)
	return cmd
}

// output is what a process printed, and what it said on standard error.
func output(cmd *exec.Cmd) (printed, said string) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil && stderr.Len() == 0 {
		return string(stdout), err.Error()
	}
	return string(stdout), stderr.String()
}
