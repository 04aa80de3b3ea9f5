package env

import (
	"testing"
	"time"
)

// Patience is how long Await waits: longer than anything takes on a busy
// machine, since only what fails takes that long.
const Patience = time.Minute

// Await polls until look, which says what is still missing, returns "". It is
// for what happens outside of the test's process, or at its own pace in it.
func Await(tb testing.TB, look func() (missing string)) {
	tb.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := look()
		if missing == "" {
			return
		}
		select {
		case <-deadline:
			tb.Fatalf("still after %v: %s", Patience, missing)
		case <-tick.C:
		}
	}
}

// Until is Await for a condition that has no more to say than what it is.
func Until(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	Await(tb, func() string {
		if condition() {
			return ""
		}
		return "waiting for " + what
	})
}
