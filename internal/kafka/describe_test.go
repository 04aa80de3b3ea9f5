package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	cluster := connect(t)
	follow(t, cluster, kafka.TopicSpec{Name: env.Unique("counted"), Partitions: 1})
	description, err := cluster.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if description.ClusterID == "" || description.Brokers < 1 || description.Topics < 1 || !description.Authorizer {
		t.Errorf("got %+v", description)
	}
}

func TestDescribeNamesTheRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	admin := connect(t)
	user := shared.User(t, env.Unique("weir"))
	cluster := connectAs(t, config(shared, user))
	grant := func(operation string) {
		t.Helper()
		if err := admin.AddBindings(t.Context(), []kafka.Binding{{
			Principal: "User:" + user.Name, Host: "*", Operation: operation,
			Resource: kafka.ResourceCluster, Pattern: kafka.PatternLiteral, Name: "kafka-cluster",
		}}); err != nil {
			t.Fatal(err)
		}
	}

	description, err := cluster.Describe(t.Context())
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "list ACL bindings: Weir's principal needs DESCRIBE on the Cluster")
	if description.ClusterID == "" {
		t.Error("the cluster ID is missing where only a right is")
	}
	grant(kafka.OperationDescribe)
	const needsAlter = "look up Weir's own rights: Weir's principal needs ALTER on the Cluster (CLUSTER_AUTHORIZATION_FAILED: Cluster authorization failed.)"
	env.Await(t, func() string {
		_, err = cluster.Describe(t.Context())
		if is := kafka.Classify(err); is == nil || is.Message != needsAlter {
			return format(err)
		}
		return ""
	})
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, needsAlter)
	grant("ALTER")
	env.Await(t, func() string {
		if _, err := cluster.Describe(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
}

// A broker without an authorizer is neither of the clusters in test/env, so a
// kfake of its own answers as one.
func TestClusterWithoutAuthorizer(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeACLs}, TopLevel: true, Err: kerr.SecurityDisabled, Count: -1})
	cluster := connectAs(t, kafka.Config{BootstrapServers: fake.ListenAddrs()})

	description, err := cluster.Describe(t.Context())
	if err != nil || description.Authorizer || description.Topics != 1 || description.Brokers != 1 {
		t.Errorf("got %+v, %v", description, err)
	}
	_, err = cluster.Bindings(t.Context())
	wantError(t, err, kafka.Rejected, kafka.AuthorizerDisabled, "list ACL bindings: SECURITY_DISABLED: ")
}

// A broker before 2.8 cannot be asked for the rights of a principal.
func TestDescribeAnOldBroker(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_7_0()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	cluster := connectAs(t, kafka.Config{BootstrapServers: fake.ListenAddrs()})
	if description, err := cluster.Describe(t.Context()); err != nil || !description.Authorizer {
		t.Errorf("got %+v, %v", description, err)
	}
}
