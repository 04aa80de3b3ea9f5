package kafka_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

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
	description, err := cluster.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if description.ClusterID == "" || description.Brokers < 1 || !description.Authorizer {
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
		if err := errors.Join(admin.CreateBindings(t.Context(), []kafka.Binding{{
			Principal: "User:" + user.Name, Host: "*", Operation: operation,
			Resource: kafka.ResourceCluster, Pattern: kafka.PatternLiteral, Name: "kafka-cluster",
		}})...); err != nil {
			t.Fatal(err)
		}
	}

	description, err := cluster.Describe(t.Context())
	wantError(t, err, kafka.Rejected, kafka.Unauthorized, "list ACL bindings: User:"+user.Name+" needs DESCRIBE on the Cluster; run: kafka-acls --add --allow-principal User:"+user.Name+" --operation Describe --cluster")
	if description.ClusterID == "" {
		t.Error("the cluster ID is missing where only a right is")
	}
	grant(kafka.OperationDescribe)
	needsAlter := "look up Weir's own rights: User:" + user.Name + " needs ALTER on the Cluster; run: kafka-acls --add --allow-principal User:" + user.Name + " --operation Alter --cluster"
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
	if err != nil || description.Authorizer || description.Brokers != 1 {
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

// A bootstrap address that answers says nothing about the addresses that the
// brokers advertise.
func TestAdvertisedAddressThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	fake.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		response := request.ResponseKind().(*kmsg.MetadataResponse)
		response.ClusterID = kmsg.StringPtr("main")
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port = 7, "127.0.0.1", 1
		response.Brokers = append(response.Brokers, broker)
		return response, nil, true
	})
	cluster := connectAs(t, kafka.Config{BootstrapServers: fake.ListenAddrs()})
	_, err = cluster.Describe(t.Context())
	wantError(t, err, kafka.Transient, kafka.Unreachable,
		"broker 7 advertises 127.0.0.1:1, which does not answer (connection refused): check its advertised.listeners and the way from here; Weir keeps trying")
}

// What is not Kafka is told as that.
func TestWhatIsNotKafka(t *testing.T) {
	t.Parallel()
	for name, greeting := range map[string]string{"PostgreSQL": "E\x00\x00\x00\x8cSFATAL\x00", "HTTP": "HTTP/1.1 400 Bad Request\r\n\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = connection.Write([]byte(greeting))
				time.AfterFunc(time.Second, func() { connection.Close() })
			}
		}()
		cluster := connectAs(t, kafka.Config{BootstrapServers: []string{listener.Addr().String()}})
		_, err = cluster.Describe(t.Context())
		if is := kafka.Classify(err); is == nil || !strings.Contains(is.Message, "may not speak Kafka, or may want TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An address may lead to another cluster from one request to the next: nothing
// is changed there.
func TestAnotherClusterAtTheSameAddress(t *testing.T) {
	t.Parallel()
	own := startFake(t)
	connection := config(own, own.Admin)
	connection.ClusterID = "the-one-that-is-meant"
	cluster := connectAs(t, connection)
	want := `and "the-one-that-is-meant" is expected; nothing is touched`
	_, err := cluster.Describe(t.Context())
	wantError(t, err, kafka.Rejected, kafka.ClusterIDMismatch, want)
	_, err = cluster.EnsureTopic(t.Context(), kafka.TopicSpec{Name: "orders"})
	wantError(t, err, kafka.Rejected, kafka.ClusterIDMismatch, want)
	wantError(t, cluster.DeleteTopic(t.Context(), "orders", ""), kafka.Rejected, kafka.ClusterIDMismatch, want)
	grants := kafka.Consume("User:billing", "orders")
	wantError(t, errors.Join(cluster.CreateBindings(t.Context(), grants)...), kafka.Rejected, kafka.ClusterIDMismatch, want)
	wantError(t, errors.Join(cluster.DeleteBindings(t.Context(), grants)...), kafka.Rejected, kafka.ClusterIDMismatch, want)
}
