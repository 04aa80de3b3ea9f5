package env

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main runs the tests of a package that uses shared parts, and stops those
// parts afterwards, also after an interrupt. It does not return.
//
//	func TestMain(m *testing.M) { env.Main(m) }
func Main(m interface{ Run() int }) {
	inMain = true
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = stopShared() // the interrupt is the outcome
		os.Exit(130)
	}()
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "env:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Shared is a part of the platform that all tests of one test binary share,
// started by the first of them that asks. The zero value is ready. Its methods
// may be called from parallel tests.
type Shared[T interface{ Close() error }] struct {
	once sync.Once
	part T
	err  error
}

// Get is the part, which start brings up on the first call. It fails the test
// where that failed, and where nobody would stop the part: see Main.
func (s *Shared[T]) Get(tb testing.TB, start func(context.Context) (T, error)) T {
	tb.Helper()
	if !inMain {
		tb.Fatal("env: this package uses a shared part and needs: func TestMain(m *testing.M) { env.Main(m) }")
	}
	s.once.Do(func() {
		s.part, s.err = start(context.Background())
		if s.err == nil {
			stops.Lock()
			defer stops.Unlock()
			stops.list = append(stops.list, s.part.Close)
		}
	})
	if s.err != nil {
		tb.Fatalf("env: %v", s.err)
	}
	return s.part
}

// Unique is a name that nothing else has: prefix, a hyphen and eight letters or
// digits. Tests name what they make in a shared part by it, so that they run in
// parallel and again.
func Unique(prefix string) string {
	return prefix + "-" + strings.ToLower(rand.Text()[:8])
}

var (
	inMain bool // written before any test runs
	stops  struct {
		sync.Mutex
		list []func() error
	}
)

// stopShared stops the shared parts, last started first, once.
func stopShared() error {
	stops.Lock()
	defer stops.Unlock()
	var errs []error
	for _, stop := range slices.Backward(stops.list) {
		errs = append(errs, stop())
	}
	stops.list = nil
	return errors.Join(errs...)
}
