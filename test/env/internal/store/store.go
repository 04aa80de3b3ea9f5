// Package store keeps what the local platform fetches or builds once per
// machine, outside the checkout, and says on standard error what that costs.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Path is a path inside Weir's folder of the user's cache directory.
func Path(elements ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	return filepath.Join(append([]string{cache, "weir"}, elements...)...), nil
}

// Fill makes sure that dir exists, whole, and is made once however many
// processes ask at the same time: fill writes into a temporary neighbour that
// is renamed at the end. Nothing is printed when dir is there already. What
// names the work for a person, as in "fetching Apache Kafka 4.3.0".
func Fill(ctx context.Context, dir, what string, fill func(ctx context.Context, partial string) error) error {
	if exists(dir) {
		return nil
	}
	unlock, err := lock(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer unlock()
	if exists(dir) { // made by another process while this one waited
		return nil
	}

	done := Progress(what)
	partial := dir + ".partial" // under the lock nobody else writes it: a left-over is of a run that died
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := fill(ctx, partial); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", what, err), os.RemoveAll(partial))
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	done()
	return nil
}

// Progress says on standard error that what has begun; the function it
// returns says how long it took.
func Progress(what string) (done func()) {
	start := time.Now()
	fmt.Fprintf(os.Stderr, "env: %s …\n", what)
	return func() {
		fmt.Fprintf(os.Stderr, "env: %s took %s\n", what, time.Since(start).Round(100*time.Millisecond))
	}
}

// lock takes the lock of dir among all processes of this user. The kernel
// releases it when the process dies.
func lock(dir string) (unlock func(), err error) {
	path, err := Path("locks", strings.ReplaceAll(strings.TrimPrefix(dir, "/"), "/", "_"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(os.Stderr, "env: waiting for another process that makes %s\n", filepath.Base(dir))
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
