package outbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-dev/weir/internal/relay/config"
	"github.com/weir-dev/weir/test/env"
)

// TestProblems checks that what is wrong around the relay is told with its
// cure, that the worker stays up and is not ready, and that the cure works.
func TestProblems(t *testing.T) {
	t.Parallel()
	mark := func(o *config.Outbox) {
		o.AfterPublish, o.Columns.Status, o.Columns.PublishedAt = config.Mark, "status", "published_at"
	}
	const markColumns = "ALTER TABLE outbox ADD COLUMN status text NOT NULL DEFAULT 'PENDING', ADD COLUMN published_at timestamptz"

	tests := map[string]struct {
		change  func(*config.Outbox)
		spoil   func(p *pipeline)
		reason  string
		message func(p *pipeline) string // a part of it
		cure    func(p *pipeline)
	}{
		"database away": {
			spoil:   func(p *pipeline) { p.write("database/uri", "postgres://shop:hush@127.0.0.1:1/shop") },
			reason:  "DatabaseUnreachable",
			message: func(*pipeline) string { return `connecting to database "shop" at 127.0.0.1:1 as "shop": ` },
			cure:    func(p *pipeline) { p.writeURI("secret") },
		},
		"URI is no URI": {
			spoil:   func(p *pipeline) { p.write("database/uri", "postgres://shop:hush@:port/") },
			reason:  "SecretInvalid",
			message: func(*pipeline) string { return "holds no usable postgresql:// URI: it cannot be parsed" },
			cure:    func(p *pipeline) { p.writeURI("secret") },
		},
		"URI ends in a line break": {
			spoil:   func(p *pipeline) { p.write("database/uri", "jdbc:postgresql://shop:hush@h/") },
			reason:  "SecretInvalid",
			message: func(*pipeline) string { return "it names no database after the host" },
			cure: func(p *pipeline) {
				p.write("database/uri", env.SharedPostgres(p.t).UserURI(p.role, "secret", p.db.Config().Database)+"\r\n")
			},
		},
		"no such host": {
			spoil:   func(p *pipeline) { p.write("database/uri", "postgres://shop:hush@no-such-host.invalid/shop") },
			reason:  "DatabaseUnreachable",
			message: func(*pipeline) string { return `at no-such-host.invalid:5432 as "shop": ` },
			cure:    func(p *pipeline) { p.writeURI("secret") },
		},
		"a role that may only read": {
			spoil: func(p *pipeline) {
				p.exec(fmt.Sprintf("ALTER ROLE %s SET default_transaction_read_only = on", quote(p.role)))
				p.write("database/uri", env.SharedPostgres(p.t).UserURI(p.role, "secret", p.db.Config().Database)+"&target_session_attrs=prefer-standby")
			},
			reason: "DatabaseReadOnly",
			message: func(p *pipeline) string {
				return fmt.Sprintf("the session is read-only, so that no row could be settled: name the primary in the URI, or run: ALTER ROLE %s SET default_transaction_read_only = off", quote(p.role))
			},
			cure: func(p *pipeline) {
				p.exec(fmt.Sprintf("ALTER ROLE %s SET default_transaction_read_only = off", quote(p.role)))
			},
		},
		"rows that are hidden": {
			spoil:  func(p *pipeline) { p.exec("ALTER TABLE outbox ENABLE ROW LEVEL SECURITY") },
			reason: "PrivilegeMissing",
			message: func(p *pipeline) string {
				return fmt.Sprintf("row level security may hide rows of public.outbox from role %[1]s; run: ALTER ROLE %[1]s BYPASSRLS, or: CREATE POLICY relay ON public.outbox TO %[1]s USING (true)", quote(p.role))
			},
			cure: func(p *pipeline) {
				p.exec(fmt.Sprintf("CREATE POLICY relay ON public.outbox TO %s USING (true)", quote(p.role)))
			},
		},
		"a view": {
			spoil: func(p *pipeline) {
				p.exec("ALTER TABLE outbox RENAME TO outbox2; CREATE VIEW outbox AS SELECT * FROM outbox2")
			},
			reason: "TableNotFound",
			message: func(*pipeline) string {
				return "is a view; the relay needs the table behind it: correct spec.outbox.table"
			},
			cure: func(p *pipeline) { p.exec("DROP VIEW outbox; ALTER TABLE outbox2 RENAME TO outbox") },
		},
		"a payload that is neither bytes nor text nor JSON": {
			spoil: func(p *pipeline) {
				p.exec("CREATE DOMAIN amount AS numeric; ALTER TABLE outbox ALTER payload TYPE amount USING 1")
			},
			reason: "ColumnTypeMismatch",
			message: func(*pipeline) string {
				return `column "payload" of public.outbox is amount (a domain over numeric), but spec.outbox.columns.payload needs bytes (bytea), text or JSON; ` +
					`run: ALTER TABLE public.outbox ALTER COLUMN "payload" TYPE text USING "payload"::text`
			},
			cure: func(p *pipeline) {
				p.exec(`ALTER TABLE public.outbox ALTER COLUMN "payload" TYPE text USING "payload"::text`)
			},
		},
		"wrong password": {
			spoil:  func(p *pipeline) { p.writeURI("hush") },
			reason: "DatabaseUnauthorized",
			message: func(p *pipeline) string {
				return fmt.Sprintf(`as %q: password authentication failed for user %q (SQLSTATE 28P01)`, p.role, p.role)
			},
			cure: func(p *pipeline) { p.writeURI("secret") },
		},
		"no table": {
			spoil:  func(p *pipeline) { p.exec("ALTER TABLE outbox RENAME TO outbox2") },
			reason: "TableNotFound",
			message: func(p *pipeline) string {
				return fmt.Sprintf(`database %q has no table "outbox" in schema "public"; correct spec.outbox.table, or create it: CREATE TABLE "public"."outbox" (`, p.db.Config().Database)
			},
			cure: func(p *pipeline) { p.exec("ALTER TABLE outbox2 RENAME TO outbox") },
		},
		"a table in another schema": {
			spoil: func(p *pipeline) {
				p.exec(`CREATE SCHEMA "App"; ALTER TABLE outbox SET SCHEMA "App"; ALTER TABLE "App".outbox RENAME TO "OutBox"`)
			},
			reason: "TableNotFound",
			message: func(*pipeline) string {
				return `has no table "outbox" in schema "public"; there is "App"."OutBox"; correct spec.outbox.table, or create it: CREATE TABLE`
			},
			cure: func(p *pipeline) {
				p.exec(`ALTER TABLE "App"."OutBox" RENAME TO outbox; ALTER TABLE "App".outbox SET SCHEMA public`)
			},
		},
		"no sequence": {
			spoil:  func(p *pipeline) { p.exec("ALTER TABLE outbox DROP COLUMN seq") },
			reason: "ColumnNotFound",
			message: func(*pipeline) string {
				return `table public.outbox has no column "seq" (it has: id, aggregatetype, aggregateid, type, payload, headers, created_at); ` +
					`correct spec.outbox.columns.sequence, or add it: ALTER TABLE public.outbox ADD COLUMN "seq" bigint GENERATED ALWAYS AS IDENTITY UNIQUE`
			},
			cure: func(p *pipeline) {
				p.exec(`ALTER TABLE public.outbox ADD COLUMN "seq" bigint GENERATED ALWAYS AS IDENTITY UNIQUE`)
			},
		},
		"wrong type": {
			spoil: func(p *pipeline) {
				p.exec("ALTER TABLE outbox ALTER created_at DROP DEFAULT, ALTER created_at TYPE text")
			},
			reason: "ColumnTypeMismatch",
			message: func(*pipeline) string {
				return `column "created_at" of public.outbox is text NOT NULL, but spec.outbox.columns.createdAt needs a timestamp`
			},
			cure: func(p *pipeline) {
				p.exec("ALTER TABLE outbox ALTER created_at TYPE timestamptz USING now(), ALTER created_at SET DEFAULT now()")
			},
		},
		"sequence may be NULL": {
			spoil:  func(p *pipeline) { p.exec("ALTER TABLE outbox ALTER seq DROP IDENTITY, ALTER seq DROP NOT NULL") },
			reason: "ColumnTypeMismatch",
			message: func(*pipeline) string {
				return `column "seq" of public.outbox is bigint, but spec.outbox.columns.sequence needs an integer that is NOT NULL`
			},
			cure: func(p *pipeline) {
				p.exec("ALTER TABLE outbox ALTER seq SET NOT NULL, ALTER seq ADD GENERATED ALWAYS AS IDENTITY")
			},
		},
		"sequence with cache": {
			spoil:  func(p *pipeline) { p.exec("ALTER SEQUENCE outbox_seq_seq CACHE 50") },
			reason: "SequenceCached",
			message: func(*pipeline) string {
				return `sequence outbox_seq_seq of column "seq" hands out numbers in blocks of 50 per session, ` +
					`which loses the order between sessions; run: ALTER SEQUENCE outbox_seq_seq CACHE 1`
			},
			cure: func(p *pipeline) { p.exec("ALTER SEQUENCE outbox_seq_seq CACHE 1") },
		},
		"may not delete": {
			spoil:  func(p *pipeline) { p.exec("REVOKE DELETE ON outbox FROM " + quote(p.role)) },
			reason: "PrivilegeMissing",
			message: func(p *pipeline) string {
				return fmt.Sprintf("role %[1]s may not read and settle public.outbox; run: GRANT DELETE ON public.outbox TO %[1]s", quote(p.role))
			},
			cure: func(p *pipeline) { p.exec("GRANT DELETE ON public.outbox TO " + quote(p.role)) },
		},
		"may do nothing": {
			spoil: func(p *pipeline) {
				p.exec("REVOKE USAGE ON SCHEMA public FROM PUBLIC; REVOKE ALL ON outbox FROM " + quote(p.role))
			},
			reason: "PrivilegeMissing",
			message: func(p *pipeline) string {
				return fmt.Sprintf("run: GRANT USAGE ON SCHEMA public TO %[1]s; GRANT SELECT, DELETE ON public.outbox TO %[1]s", quote(p.role))
			},
			cure: func(p *pipeline) {
				p.exec(fmt.Sprintf("GRANT USAGE ON SCHEMA public TO %[1]s; GRANT SELECT, DELETE ON public.outbox TO %[1]s", quote(p.role)))
			},
		},
		"may not mark": {
			change: mark,
			spoil:  func(p *pipeline) { p.exec(markColumns) },
			reason: "PrivilegeMissing",
			message: func(p *pipeline) string {
				return fmt.Sprintf(`run: GRANT UPDATE ("status", "published_at") ON public.outbox TO %s`, quote(p.role))
			},
			cure: func(p *pipeline) {
				p.exec(`GRANT UPDATE ("status", "published_at") ON public.outbox TO ` + quote(p.role))
			},
		},
		"no status column": {
			change: mark,
			spoil:  func(p *pipeline) { p.exec("GRANT UPDATE ON outbox TO " + quote(p.role)) },
			reason: "ColumnNotFound",
			message: func(*pipeline) string {
				return `correct spec.outbox.columns.status, or add it: ALTER TABLE public.outbox ADD COLUMN "status" text NOT NULL DEFAULT 'PENDING'`
			},
			cure: func(p *pipeline) { p.exec(markColumns) },
		},
		"brokers away": {
			change:  func(o *config.Outbox) { o.Kafka.BootstrapServers = []string{"127.0.0.1:1"} },
			reason:  "KafkaUnreachable",
			message: func(*pipeline) string { return "no broker at 127.0.0.1:1 can be reached: " },
		},
		"wrong Kafka password": {
			spoil:  func(p *pipeline) { p.write("kafka/password", "hush") },
			reason: "KafkaUnauthorized",
			message: func(p *pipeline) string {
				return fmt.Sprintf("the brokers at %s refuse User:%s; check username and password in the Secret with its credentials", p.kafka.Bootstrap[0], p.user.Name)
			},
			cure: func(p *pipeline) { p.write("kafka/password", p.user.Password) },
		},
		"no Kafka password": {
			change:  func(o *config.Outbox) { o.Kafka.SASL.PasswordFile = "kafka/pass" },
			reason:  "KafkaUnauthorized",
			message: func(*pipeline) string { return "reading the Kafka credentials: open " },
			cure:    func(p *pipeline) { p.write("kafka/pass", p.user.Password) },
		},
		"credentials of another user": {
			change: func(o *config.Outbox) {
				o.Kafka.Principal, o.Routes[0].Topic = "User:shop-relay", o.Routes[0].Topic+"-other"
			},
			spoil: func(p *pipeline) {
				if _, err := p.admin.CreateTopic(p.t.Context(), 1, 1, nil, p.topic+"-other"); err != nil {
					p.t.Fatal(err)
				}
			},
			reason: "KafkaUnauthorized",
			message: func(p *pipeline) string {
				return "the Secret with the Kafka credentials authenticates as User:" + p.user.Name +
					", and the grants are for spec.kafka.principal, User:shop-relay: make them the same"
			},
		},
		"wrong cluster": {
			change: func(o *config.Outbox) { o.Kafka.ClusterID = "another" },
			reason: "ClusterIDMismatch",
			message: func(*pipeline) string {
				return `the KafkaCluster names "another"; correct spec.bootstrapServers or spec.clusterId`
			},
		},
		"no topic": {
			change: func(o *config.Outbox) { o.Routes[0].Topic += "-missing" },
			spoil:  func(p *pipeline) { p.grant(p.config.Routes[0].Topic, kadm.OpDescribe, kadm.OpWrite) },
			reason: "TopicNotFound",
			message: func(p *pipeline) string {
				return fmt.Sprintf("topic %q does not exist; create it with a Topic resource, or correct the route", p.topic+"-missing")
			},
			cure: func(p *pipeline) { p.createTopic(p.topic+"-missing", nil) },
		},
		"may not see the topic": {
			change: func(o *config.Outbox) { o.Routes[0].Topic += "-secret" },
			spoil: func(p *pipeline) {
				if _, err := p.admin.CreateTopic(p.t.Context(), 1, 1, nil, p.topic+"-secret"); err != nil {
					p.t.Fatal(err)
				}
			},
			reason: "TopicUnauthorized",
			message: func(p *pipeline) string {
				return fmt.Sprintf("User:%s may not produce to topic %q; it needs WRITE and DESCRIBE on the topic", p.user.Name, p.topic+"-secret")
			},
			cure: func(p *pipeline) { p.grant(p.topic+"-secret", kadm.OpDescribe, kadm.OpWrite) },
		},
		"may not write the topic": {
			change: func(o *config.Outbox) { o.Routes[0].Topic += "-read" },
			spoil: func(p *pipeline) {
				if _, err := p.admin.CreateTopic(p.t.Context(), 1, 1, nil, p.topic+"-read"); err != nil {
					p.t.Fatal(err)
				}
				p.grant(p.topic+"-read", kadm.OpDescribe)
			},
			reason: "TopicUnauthorized",
			message: func(p *pipeline) string {
				return fmt.Sprintf("User:%s may not produce to topic %q; it needs WRITE and DESCRIBE on the topic", p.user.Name, p.topic+"-read")
			},
			cure: func(p *pipeline) { p.grant(p.topic+"-read", kadm.OpWrite) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.change == nil {
				test.change = func(*config.Outbox) {}
			}
			p := newPipeline(t, test.change)
			if test.spoil != nil {
				test.spoil(p)
			}
			r := p.start()
			problem := r.awaitPhase(config.Failing).Problem
			if want := test.message(p); problem.Reason != test.reason || !strings.Contains(problem.Message, want) {
				t.Errorf("got  %s: %s\nwant %s: … %s", problem.Reason, problem.Message, test.reason, want)
			}
			if problem.Since.IsZero() || r.ready() {
				t.Errorf("since %v, ready %v", problem.Since, r.ready())
			}
			if strings.Contains(r.logs.String(), "hush") || strings.Contains(problem.Message, "hush") {
				t.Error("the password shows")
			}
			if test.cure == nil {
				return
			}
			test.cure(p)
			r.awaitPhase(config.Active)
			p.insert("a", 1, 3)
			env.Until(t, "the rows to be published", func() bool { return r.state().PublishedRows == 3 })
		})
	}
}

func (p *pipeline) writeURI(password string) {
	p.t.Helper()
	p.write("database/uri", env.SharedPostgres(p.t).UserURI(p.role, password, p.db.Config().Database))
}
