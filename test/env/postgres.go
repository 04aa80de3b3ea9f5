package env

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weir-dev/weir/test/env/internal/store"
)

// As in postgres-helper, whose library knows where version 18.3.0 is fetched.
const postgresVersion = "18.3.0"

// The superuser of every Postgres. It listens on the loopback address only.
const postgresUser, postgresPassword = "postgres", "postgres"

// Postgres is a running PostgreSQL 18 with wal_level=logical.
type Postgres struct {
	// Host and Port are where it listens.
	Host string
	Port int

	stop func() error
}

var sharedPostgres Shared[*Postgres]

// SharedPostgres is the server that all tests of a test binary share, with a
// database for each (see Database). The package needs a TestMain that calls Main.
func SharedPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	return sharedPostgres.Get(tb, StartPostgres)
}

// StartPostgres starts a server; the caller closes it. The first one on a
// machine fetches the binaries and initialises a data directory, of which
// every server gets a copy.
func StartPostgres(ctx context.Context) (*Postgres, error) {
	cache, err := store.Path("postgres-" + postgresVersion)
	if err != nil {
		return nil, err
	}
	if err := store.Fill(ctx, cache, "fetching PostgreSQL "+postgresVersion, fetchPostgres); err != nil {
		return nil, err
	}
	dir, removeDir, err := store.TempDir("weir-postgres-")
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	binaries := filepath.Join(cache, "binaries")
	copies := []string{"data"}
	if os.Geteuid() == 0 { // the server's user cannot look into root's cache
		binaries = filepath.Join(dir, "binaries")
		copies = append(copies, "binaries")
	}
	for _, name := range copies {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(cache, name))); err != nil {
			return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), removeDir())
		}
	}
	port, releasePort, err := store.Port()
	if err != nil {
		return nil, errors.Join(err, removeDir())
	}
	helper, err := startPostgresHelper(ctx, dir, binaries, port, "-remove")
	if err != nil {
		releasePort()
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), removeDir())
	}
	return &Postgres{Host: "127.0.0.1", Port: port, stop: func() error {
		defer releasePort()
		return errors.Join(helper.stop(), removeDir())
	}}, nil
}

// fetchPostgres leaves the binaries and a fresh data directory in partial. The
// library offers no other way to fetch than to run a server.
func fetchPostgres(ctx context.Context, partial string) (err error) {
	dir, removeDir, err := store.TempDir("weir-postgres-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDir()) }()
	port, releasePort, err := store.Port()
	if err != nil {
		return err
	}
	defer releasePort()
	helper, err := startPostgresHelper(ctx, dir, filepath.Join(dir, "binaries"), port)
	if err != nil {
		return err
	}
	if err := helper.stop(); err != nil {
		return err
	}
	for _, name := range []string{"binaries", "data"} {
		if err := os.CopyFS(filepath.Join(partial, name), os.DirFS(filepath.Join(dir, name))); err != nil {
			return err
		}
	}
	return nil
}

// postgresHelper is a running postgres-helper: it holds the server, and stops
// it when its standard input ends.
type postgresHelper struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
}

// startPostgresHelper returns when the server in dir takes connections.
func startPostgresHelper(ctx context.Context, dir, binaries string, port int, flags ...string) (*postgresHelper, error) {
	args := append([]string{
		"run", "-buildvcs=false", "github.com/weir-dev/weir/test/env/postgres-helper",
		"-dir", dir, "-binaries", binaries, "-data", filepath.Join(dir, "data"), "-port", strconv.Itoa(port),
	}, flags...)
	if os.Geteuid() == 0 {
		account, err := giveAway(dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "-user", account)
	}
	if err := os.Chmod(filepath.Join(dir, "data"), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // PostgreSQL insists on it
	}

	h := &postgresHelper{cmd: exec.Command("go", args...), stderr: &bytes.Buffer{}}
	h.cmd.Stderr = h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in the terminal is for this process alone
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	h.stdin = stdin
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(stdout).ReadString('\n')
		ready <- err
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, h.stop())
	}
	return h, nil
}

// stop returns when the server and the helper have ended.
func (h *postgresHelper) stop() error {
	_ = h.stdin.Close() // Wait tells what matters
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("postgres-helper: %w\n%s", err, h.stderr)
	}
	return nil
}

// giveAway makes dir and all in it the property of an account without
// privileges, and returns the account's name.
func giveAway(dir string) (string, error) {
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return "", fmt.Errorf("PostgreSQL refuses to run as root: find another user: %w", err)
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return "", err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return "", err
	}
	return account.Username, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// Close stops the server and removes its data.
func (p *Postgres) Close() error { return p.stop() }

// URI is the superuser's connection URI of a database; "postgres" exists always.
func (p *Postgres) URI(database string) string {
	return p.UserURI(postgresUser, postgresPassword, database)
}

// UserURI is a role's connection URI of a database.
func (p *Postgres) UserURI(role, password, database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, password),
		Host:     net.JoinHostPort(p.Host, strconv.Itoa(p.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}).String()
}

// CreateDatabase creates an empty database and returns the superuser's URI of it.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	if err := p.execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return p.URI(name), nil
}

// DropDatabase drops a database, also under open connections.
func (p *Postgres) DropDatabase(ctx context.Context, name string) error {
	if err := p.execute(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// CreateRole creates a role that may log in and has no rights but PUBLIC's.
func (p *Postgres) CreateRole(ctx context.Context, name, password string) error {
	// A password is a literal to PostgreSQL, not a parameter.
	literal := "'" + strings.ReplaceAll(password, "'", "''") + "'"
	if err := p.execute(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" LOGIN PASSWORD "+literal); err != nil {
		return fmt.Errorf("create role %s: %w", name, err)
	}
	return nil
}

// Database creates a database for this test, dropped at its end, and returns
// the superuser's URI of it.
func (p *Postgres) Database(tb testing.TB) string {
	tb.Helper()
	name := Unique("test")
	uri, err := p.CreateDatabase(tb.Context(), name)
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if err := p.DropDatabase(ctx, name); err != nil {
			tb.Errorf("env: %v", err)
		}
	})
	return uri
}

// execute runs one statement as the superuser.
func (p *Postgres) execute(ctx context.Context, statement string) error {
	connection, err := pgx.Connect(ctx, p.URI("postgres"))
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	return err
}
