// Package golden compares what is rendered with files under testdata. It imports
// nothing of package controller, so that tests inside its packages can use it.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Compare compares what is rendered with testdata/<name>.golden, one YAML
// document each.
func Compare(t *testing.T, name string, objects ...any) {
	t.Helper()
	var got []byte
	for i, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			got = append(got, "---\n"...)
		}
		got = append(got, text...)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("rendered (-want +got); if that is right: go test -run %s -update\n%s", t.Name(), diff)
	}
}

// Cluster is a KafkaCluster with a retry worker of its own.
func Cluster() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "main", UID: "cluster-uid", Generation: 4},
		Spec: v1alpha1.KafkaClusterSpec{
			BootstrapServers: []string{"kafka-0:9093", "kafka-1:9093"},
			TLS:              &v1alpha1.KafkaTLS{},
			SASL:             &v1alpha1.KafkaSASL{Mechanism: v1alpha1.SASLScramSHA512, SecretRef: v1alpha1.SecretReference{Name: "weir-kafka"}},
			RetryWorker: &v1alpha1.RetryWorkerSpec{
				Kafka:    v1alpha1.KafkaCredentials{Principal: "User:retry", CredentialsSecretRef: v1alpha1.SecretReference{Name: "retry-kafka"}},
				Replicas: new(int32(2)),
			},
		},
		Status: v1alpha1.KafkaClusterStatus{ClusterID: "abc"},
	}
}
