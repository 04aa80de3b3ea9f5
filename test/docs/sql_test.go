package docs

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
)

// TestSQL runs every SQL block of the documentation on a real PostgreSQL, each
// page on a database of its own, and looks whether the table of a page has the
// columns that its OutboxRelay names.
func TestSQL(t *testing.T) {
	t.Parallel()
	postgres := env.SharedPostgres(t)
	err := postgres.CreateRole(t.Context(), "relay", "secret")                                            // the role that the pages grant to
	if exists, ok := errors.AsType[*pgconn.PgError](err); err != nil && (!ok || exists.Code != "42710") { // from a run before
		t.Fatal(err)
	}
	ran := 0
	for _, page := range pages(t) {
		statements := blocks(t, page, "sql")
		if len(statements) == 0 {
			continue
		}
		database, err := pgx.Connect(t.Context(), postgres.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		for i, sql := range statements {
			ran++
			if _, err := database.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s, SQL block %d: %v", page, i+1, err)
			}
		}
		for _, text := range blocks(t, page, "yaml") {
			var relay v1alpha1.OutboxRelay
			if err := yaml.Unmarshal([]byte(text), &relay); err != nil || relay.Kind != "OutboxRelay" {
				continue
			}
			for _, column := range named(relay.Spec.Outbox.Columns) {
				var found bool
				const exists = "SELECT count(*) = 1 FROM information_schema.columns WHERE table_schema || '.' || table_name = $1 AND column_name = $2"
				if err := database.QueryRow(t.Context(), exists, relay.Spec.Outbox.Table, column).Scan(&found); err != nil || !found {
					t.Errorf("%s: its OutboxRelay names the column %s, which its table has not (%v)", page, column, err)
				}
			}
		}
		if err := database.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if ran == 0 {
		t.Error("found no SQL")
	}
}

// named are the columns that a manifest names.
func named(columns v1alpha1.OutboxColumns) []string {
	var all []string
	for _, column := range []string{
		columns.ID, columns.AggregateType, columns.AggregateID, columns.Type, columns.Payload, columns.Sequence,
		columns.CreatedAt, columns.Headers, columns.Status, columns.PublishedAt,
	} {
		if column != "" {
			all = append(all, column)
		}
	}
	return all
}
