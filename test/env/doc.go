// Package env is the local platform that the tests and the demo share: Kafka
// and PostgreSQL here, Kubernetes in test/env/kube, and what runs its pods in
// test/env/kubelet. Everything is real, listens on free ports of the loopback
// address and ends with the process that started it. Nothing is written
// outside temporary directories but caches, and what is fetched or built for
// them is told on standard error.
//
// A test shares a part with the other tests of its package:
//
//	func TestMain(m *testing.M) { env.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		kafka := env.SharedKafka(t)
//		checkout := kafka.User(t, env.Unique("checkout")) // SCRAM credentials, no rights
//		client := kafka.Client(t, checkout)
//		uri := env.SharedPostgres(t).Database(t) // a database of this test's own
//	}
//
// Kubernetes is shared in the same way, by kube.Shared(t), with a namespace for
// each test: cluster.Namespace(t).
//
// A test that must break a part, and the demo, start one of their own with
// StartKafka, StartPostgres or kube.Start and close it; Kafka.Gated gives a
// cluster that can be cut off. Kafka is kfake in process by default, Apache
// Kafka with WEIR_TEST_KAFKA=apache, and any cluster with KAFKA_BOOTSTRAP (see
// StartKafka).
package env
