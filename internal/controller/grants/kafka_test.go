package grants_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-dev/weir/internal/controller/grants"
	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// memory is a record that nothing ever happens to.
type memory struct{}

func (memory) Load(context.Context) (record.State, error)   { return record.State{}, nil }
func (memory) Store(context.Context, []record.Change) error { return nil }

// The writer on a real broker's answers, which may show a change a moment late.
func TestWriterOnKafka(t *testing.T) {
	t.Parallel()
	shared := env.SharedKafka(t)
	cluster, err := kafka.Connect(kafka.Config{
		BootstrapServers: shared.Bootstrap,
		SASL: &kafka.SASL{Mechanism: kafka.ScramSHA512, Credentials: func(context.Context) (string, string, error) {
			return shared.Admin.Name, shared.Admin.Password, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	topic, owner := env.Unique("shop.orders"), record.Ref{Kind: "Topic", Namespace: "shop", Name: "orders"}
	stranger := kafka.Binding{Principal: "User:stranger", Host: "*", Operation: kafka.OperationRead, Resource: kafka.ResourceTopic, Pattern: kafka.PatternLiteral, Name: topic}
	if err := errors.Join(cluster.CreateBindings(t.Context(), []kafka.Binding{stranger})...); err != nil {
		t.Fatal(err)
	}
	shows := func(what string, want map[kafka.Binding]bool) {
		t.Helper()
		env.Await(t, func() string {
			have, err := cluster.Bindings(t.Context())
			if err != nil {
				return err.Error()
			}
			for binding, there := range want {
				if _, shown := have[binding]; shown != there {
					return what + ": " + binding.String() + " is not as wanted"
				}
			}
			return ""
		})
	}
	shows("a stranger's", map[kafka.Binding]bool{stranger: true})

	w := grants.New(grants.Options{
		Cluster: cluster, Record: memory{}, Resync: time.Hour, Wake: func(record.Ref) {}, Fatal: func(err error) { t.Error(err) },
	})
	defer w.Close()
	mine := kafka.Binding{Principal: "User:checkout", Host: "*", Operation: kafka.OperationWrite, Resource: kafka.ResourceTopic, Pattern: kafka.PatternLiteral, Name: topic}
	w.Declare(owner, grants.Wants{mine: grants.Grant, stranger: grants.Grant}, grants.Asked)
	env.Await(t, func() string {
		if state := w.State(owner); state.Phase != grants.Enforced {
			return string(state.Phase)
		}
		return ""
	})
	shows("granted", map[kafka.Binding]bool{mine: true, stranger: true})
	w.Gone(owner, grants.Now)
	shows("taken back", map[kafka.Binding]bool{mine: false, stranger: true})
}
