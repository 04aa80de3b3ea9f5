package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestFillRunsOnceForAllWhoAsk(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "part")
	var runs atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := Fill(t.Context(), dir, "testing the store", func(_ context.Context, partial string) error {
				runs.Add(1)
				return os.WriteFile(filepath.Join(partial, "file"), []byte("whole"), 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if content, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(content) != "whole" {
				t.Errorf("got %q and %v, want the whole file", content, err)
			}
		})
	}
	all.Wait()
	if got := runs.Load(); got != 1 {
		t.Errorf("fill ran %d times, want once", got)
	}
}

func TestFailedFillLeavesNothing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	parent := t.TempDir()
	broken := errors.New("no network")
	err := Fill(t.Context(), filepath.Join(parent, "part"), "testing the store", func(context.Context, string) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("got %v and %v, want an empty directory", entries, err)
	}
}

func TestPortsAreEachOnesOwn(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	taken := map[int]bool{}
	for range 50 {
		port, release, err := Port()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if taken[port] {
			t.Errorf("port %d was given twice", port)
		}
		taken[port] = true
	}
}

func TestTempDirRemovesThoseOfDeadProcesses(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	living, remove, err := TempDir("weir-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	dead := filepath.Join(os.TempDir(), "weir-test-dead")
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, alive), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	for _, dir := range []string{living, dead} {
		if err := os.Chtimes(filepath.Join(dir, alive), hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	_, removeNext, err := TempDir("weir-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer removeNext()
	if _, err := os.Stat(living); err != nil {
		t.Errorf("the directory of a living process: %v", err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a dead process: got %v, want none", err)
	}
}

// A child that is being started holds what its parent listened on for a moment.
func TestListenWaitsForAPortThatIsAboutToBeFree(t *testing.T) {
	t.Parallel()
	port, release, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	held, err := Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { held.Close() })
	listener, err := Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
}
