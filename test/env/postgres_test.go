package env_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/test/env"
)

func TestPostgresGivesEachTestADatabase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	postgres := env.SharedPostgres(t)
	var names []string
	for range 2 {
		connection, err := pgx.Connect(ctx, postgres.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close(ctx)
		var name, walLevel string
		var version int
		err = connection.QueryRow(ctx, "SELECT current_database(), current_setting('wal_level'), current_setting('server_version_num')::int").Scan(&name, &walLevel, &version)
		if err != nil {
			t.Fatal(err)
		}
		if walLevel != "logical" || version/10000 != 18 {
			t.Errorf("got wal_level %s and version %d, want logical and 18", walLevel, version)
		}
		names = append(names, name)
	}
	if names[0] == names[1] {
		t.Errorf("two calls gave the same database %s", names[0])
	}
}

func TestPostgresRoleHasNoRights(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	postgres := env.SharedPostgres(t)
	database, role := env.Unique("db"), env.Unique("role")
	if _, err := postgres.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	if err := postgres.CreateRole(ctx, role, "it's"); err != nil {
		t.Fatal(err)
	}
	connection, err := pgx.Connect(ctx, postgres.UserURI(role, "it's", database))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, "CREATE TABLE public.t (id int)"); err == nil {
		t.Error("a new role created a table")
	}
}
