package record_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller/record"
)

// What is read is what is loaded, whether it is in the log or in parts; nothing
// is written, and what is not of the record is not looked at.
func TestRead(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	if copies, err := record.Read(t.Context(), s.client, s.namespace); err != nil || len(copies) > 0 {
		t.Errorf("an empty namespace has %v, %v", copies, err)
	}
	short, _ := open(t, s.options("a/cluster=="))
	put(t, short, topic("orders"), topic("payments"), gone("payments"))
	long, _ := open(t, s.options("another"))
	put(t, long, large("a"))
	put(t, long, large("b")) // folds the log
	put(t, long, topic("c"))
	s.create(t, "weir-record", map[string]string{"of": "somebody who lists them"})
	s.create(t, "else", map[string]string{"log": "nonsense"})

	before := s.versions(t)
	copies, err := record.Read(t.Context(), s.client, s.namespace)
	if err != nil {
		t.Fatal(err)
	}
	want := []record.Copy{
		{ClusterID: "a/cluster==", Writer: "here", Entries: entriesOf(topic("orders"))},
		{ClusterID: "another", Writer: "here", Entries: entriesOf(large("a"), large("b"), topic("c"))},
	}
	if diff := cmp.Diff(want, copies); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, s.versions(t)); diff != "" {
		t.Errorf("reading wrote (-before +after):\n%s", diff)
	}
}

// One record that cannot be understood is named, and hides no other.
func TestReadUnreadable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log  map[string]string
		want string
	}{
		"not whole":     {map[string]string{"cluster": "kafka"}, `it has no key "writer"`},
		"another's":     {map[string]string{"cluster": "kafka", "writer": "", "base": "", "log": ""}, `it is of the Kafka cluster "kafka", whose record is ConfigMap weir-record-`},
		"no log at all": {nil, `it has no key "cluster"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			book, _ := open(t, s.options("fine"))
			put(t, book, topic("orders"))
			s.create(t, "weir-record-strange", test.log)
			s.refuses(t, "ConfigMap "+s.namespace+"/weir-record-strange, which holds what Weir owns, cannot be read: "+test.want)
		})
	}
	t.Run("a part is gone", func(t *testing.T) {
		t.Parallel()
		s := newShelf(t)
		book, _ := open(t, s.options("kafka"))
		put(t, book, large("a"))
		put(t, book, large("b"))
		part := ""
		for name := range s.versions(t) {
			if strings.Count(name, "-") == 3 {
				part = name
			}
		}
		if err := s.client.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: part}}); err != nil {
			t.Fatal(err)
		}
		fine, _ := open(t, s.options("fine"))
		put(t, fine, topic("orders"))
		s.refuses(t, "ConfigMap "+s.namespace+"/"+part+", which holds what Weir owns, cannot be read: it does not exist")
	})
}

// refuses checks that Read returns the record of the cluster "fine" alone, and
// what it says.
func (s shelf) refuses(t *testing.T, want string) {
	t.Helper()
	copies, err := record.Read(t.Context(), s.client, s.namespace)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want …%s…", err, want)
	}
	if len(copies) != 1 || copies[0].ClusterID != "fine" {
		t.Errorf("read %v", copies)
	}
}

func (s shelf) create(t *testing.T, name string, data map[string]string) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Data: data}
	if err := s.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// versions are the resource versions of all ConfigMaps.
func (s shelf) versions(t *testing.T) map[string]string {
	t.Helper()
	var all corev1.ConfigMapList
	if err := s.client.List(t.Context(), &all, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, one := range all.Items {
		versions[one.Name] = one.ResourceVersion
	}
	return versions
}
