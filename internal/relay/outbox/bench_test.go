package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/relay"
	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/internal/relay/kafkasink"
	"github.com/weir-dev/weir/internal/relay/postgres"
	"github.com/weir-dev/weir/internal/relay/row"
	"github.com/weir-dev/weir/test/env"
)

// BenchmarkPolling measures rows per second, end to end, against the same
// poll-and-delete loop with no Kafka behind it. The ratio of the two is what
// counts: both run on the machine of the moment.
func BenchmarkPolling(b *testing.B) {
	o := config.Outbox{
		Table: "public.outbox",
		Columns: config.Columns{ID: "id", AggregateType: "aggregatetype", AggregateID: "aggregateid", Type: "type", Payload: "payload",
			Sequence: "seq", CreatedAt: "created_at"},
		Polling:      config.Polling{MaxInterval: config.Duration(time.Second), BatchSize: 1000},
		AfterPublish: config.Delete,
		Routes:       []config.Route{{Topic: env.Unique("bench")}},
	}
	b.Run("table only", func(b *testing.B) {
		benchmark(b, o, func(ctx context.Context, source relay.Source) error {
			for {
				items, err := source.Next(ctx)
				if err != nil {
					return err
				}
				var numbers []int64
				for _, item := range items {
					numbers = append(numbers, item.Number)
				}
				source.Acknowledge(numbers)
			}
		})
	})
	b.Run("to Kafka", func(b *testing.B) {
		kafka := env.SharedKafka(b)
		admin := kadm.NewClient(kafka.Client(b, kafka.Admin))
		if _, err := admin.CreateTopic(b.Context(), 12, 1, nil, o.Routes[0].Topic); err != nil {
			b.Fatal(err)
		}
		dir := b.TempDir()
		for name, text := range map[string]string{"username": kafka.Admin.Name, "password": kafka.Admin.Password} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		sink, err := kafkasink.New(kafkasink.Options{Dir: dir, Kafka: config.Kafka{
			BootstrapServers: kafka.Bootstrap,
			SASL:             &config.SASL{Mechanism: config.ScramSHA512, UsernameFile: "username", PasswordFile: "password"},
		}})
		if err != nil {
			b.Fatal(err)
		}
		defer sink.Close()
		engine := relay.Engine{
			Sink: sink, Report: func(*relay.Problem) {}, Metrics: relay.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
		}
		benchmark(b, o, func(ctx context.Context, source relay.Source) error {
			engine.Source = source
			return engine.Run(ctx)
		})
	})
}

// emptied ends a run when the table is empty.
type emptied struct {
	*postgres.Source
	done context.CancelFunc
}

func (s emptied) Next(ctx context.Context) ([]relay.Item, error) {
	items, err := s.Source.Next(ctx)
	if err == nil && len(items) == 0 {
		s.done()
		return nil, context.Canceled
	}
	return items, err
}

func benchmark(b *testing.B, o config.Outbox, run func(context.Context, relay.Source) error) {
	const rows = 50_000
	uri := env.SharedPostgres(b).Database(b)
	uriFile := filepath.Join(b.TempDir(), "uri")
	if err := os.WriteFile(uriFile, []byte(uri), 0o600); err != nil {
		b.Fatal(err)
	}
	db, err := pgx.Connect(b.Context(), uri)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(context.Background())
	if _, err := db.Exec(b.Context(), outboxDDL); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		for _, sql := range []string{
			`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
				SELECT 'order', (n % 1000)::text, 'OrderPlaced', jsonb_build_object('n', n, 'x', repeat('x', 170)) FROM generate_series(1, 50000) n`,
			"VACUUM ANALYZE outbox",
		} {
			if _, err := db.Exec(b.Context(), sql); err != nil {
				b.Fatal(err)
			}
		}
		session, err := postgres.Connect(b.Context(), uriFile, "bench", time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		table, err := session.Preflight(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		ctx, done := context.WithCancel(b.Context())
		source := emptied{postgres.NewSource(session, table, o.Polling, row.NewEncoder(o.Routes), &postgres.Memory{}, postgres.Watch{
			Settled: func(int, time.Duration) {}, Future: func(int) {},
		}), done}
		b.StartTimer()
		err = run(ctx, source)
		b.StopTimer()
		session.Close()
		if err != nil && !errors.Is(err, context.Canceled) {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
