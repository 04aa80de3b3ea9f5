package deadletter

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		policy  Policy
		noLimit bool // else a day
		want    []time.Duration
		wantErr string
	}{
		{
			name:   "one attempt means no wait",
			policy: Policy{MaxAttempts: 1, Backoff: Backoff{Policy: Fixed, Delay: time.Second}},
			want:   []time.Duration{},
		},
		{
			name:   "fixed",
			policy: Policy{MaxAttempts: 4, Backoff: Backoff{Policy: Fixed, Delay: 2 * time.Second}},
			want:   []time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second},
		},
		{
			name:   "linear",
			policy: Policy{MaxAttempts: 4, Backoff: Backoff{Policy: Linear, Delay: 2 * time.Second}},
			want:   []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second},
		},
		{
			name:   "linear, capped",
			policy: Policy{MaxAttempts: 5, Backoff: Backoff{Policy: Linear, Delay: 2 * time.Second, Max: 5 * time.Second}},
			want:   []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second},
		},
		{
			name:   "exponential",
			policy: Policy{MaxAttempts: 5, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: 2}},
			want:   []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second},
		},
		{
			name:   "a fractional factor is rounded to milliseconds",
			policy: Policy{MaxAttempts: 4, Backoff: Backoff{Policy: Exponential, Delay: 5 * time.Millisecond, Factor: 1.5}},
			want:   []time.Duration{5 * time.Millisecond, 8 * time.Millisecond, 11 * time.Millisecond},
		},
		{
			name:   "factor 1 is fixed",
			policy: Policy{MaxAttempts: 3, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: 1}},
			want:   []time.Duration{time.Second, time.Second},
		},
		{
			name:   "the cap saves an exponential that no Duration could hold",
			policy: Policy{MaxAttempts: 100, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: math.MaxFloat64, Max: time.Second}},
			want:   repeat(time.Second, 99),
		},
		{
			name:    "no attempts",
			policy:  Policy{Backoff: Backoff{Policy: Fixed, Delay: time.Second}},
			wantErr: "retry.maxAttempts: must be from 1 to 100, is 0",
		},
		{
			name:    "too many attempts",
			policy:  Policy{MaxAttempts: 101, Backoff: Backoff{Policy: Fixed, Delay: time.Second}},
			wantErr: "retry.maxAttempts: must be from 1 to 100, is 101",
		},
		{
			name:    "zero delay",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Fixed}},
			wantErr: "retry.backoff.delay: must be at least 1ms, is 0s",
		},
		{
			name:    "negative delay",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Linear, Delay: -time.Second}},
			wantErr: "retry.backoff.delay: must be at least 1ms, is -1s",
		},
		{
			name:    "unknown policy",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: "Random", Delay: time.Second}},
			wantErr: `retry.backoff.policy: must be Fixed, Linear or Exponential, is "Random"`,
		},
		{
			name:    "factor below 1",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: 0.5}},
			wantErr: "retry.backoff.factor: must be at least 1, is 0.5",
		},
		{
			name:    "factor not a number",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: math.NaN()}},
			wantErr: "retry.backoff.factor: must be at least 1, is NaN",
		},
		{
			name:    "factor infinite",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: math.Inf(1)}},
			wantErr: "retry.backoff.factor: must be at least 1, is +Inf",
		},
		{
			name:    "negative cap",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Linear, Delay: time.Second, Max: -1}},
			wantErr: "retry.backoff.max: must not be negative, is -1ns",
		},
		{
			name:    "cap below delay",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Linear, Delay: time.Minute, Max: time.Second}},
			wantErr: "retry.backoff.max: must not be shorter than retry.backoff.delay, is 1s",
		},
		{
			name:    "too much jitter",
			policy:  Policy{MaxAttempts: 2, Backoff: Backoff{Policy: Fixed, Delay: time.Second, JitterPercent: 101}},
			wantErr: "retry.backoff.jitterPercent: must be from 0 to 100, is 101",
		},
		{
			name:    "negative time limit",
			policy:  Policy{MaxAttempts: 2, MaxElapsed: -time.Second, Backoff: Backoff{Policy: Fixed, Delay: time.Second}},
			wantErr: "retry.maxElapsed: must not be negative, is -1s",
		},
		{
			name:    "a star in the middle of an error class",
			policy:  Policy{MaxAttempts: 2, PermanentErrors: []string{"Bad*Error"}, Backoff: Backoff{Policy: Fixed, Delay: time.Second}},
			wantErr: `retry.permanentErrors: "Bad*Error": an error class must not be empty, and * may stand at its beginning and end only`,
		},
		{
			name:    "longer than records are kept",
			policy:  Policy{MaxAttempts: 9, Backoff: Backoff{Policy: Exponential, Delay: time.Hour, Factor: 10}},
			wantErr: "retry: the waits before attempt 4 add up to 111h0m0s, longer than the 24h0m0s that records are kept; lower retry.maxAttempts or retry.backoff.max",
		},
		{
			name:    "exponential overflow",
			noLimit: true,
			policy:  Policy{MaxAttempts: 3, Backoff: Backoff{Policy: Exponential, Delay: time.Second, Factor: 1e10}},
			wantErr: "retry.backoff: the wait before attempt 3 is too long to count; set or lower retry.backoff.max",
		},
		{
			name:    "linear overflow",
			noLimit: true,
			policy:  Policy{MaxAttempts: 3, Backoff: Backoff{Policy: Linear, Delay: math.MaxInt64 / 2 * time.Nanosecond}},
			wantErr: "retry.backoff: the wait before attempt 3 is too long to count; set or lower retry.backoff.max",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limit := 24 * time.Hour
			if test.noLimit {
				limit = 0
			}
			got, err := Schedule(test.policy, limit)
			if diff := cmp.Diff(test.wantErr, message(err)); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("schedule (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the policy, its schedule never gets shorter, respects the cap, and
// has one wait for each attempt but the first; and the limit is exact: the sum
// passes and a millisecond less does not.
func TestScheduleProperties(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		policy := Policy{
			MaxAttempts: 2 + random.IntN(MostAttempts-1),
			Backoff: Backoff{
				Policy: []BackoffPolicy{Fixed, Linear, Exponential}[random.IntN(3)],
				Delay:  time.Millisecond * time.Duration(1+random.IntN(100_000)),
				Factor: 1 + random.Float64()*9,
			},
		}
		if random.IntN(2) == 0 {
			policy.Backoff.Max = policy.Backoff.Delay * time.Duration(1+random.IntN(100))
		}
		delays, err := Schedule(policy, 0)
		if err != nil {
			continue // overflow, tested above
		}
		if len(delays) != policy.MaxAttempts-1 {
			t.Fatalf("%+v: %d delays", policy, len(delays))
		}
		var total, previous time.Duration
		for _, delay := range delays {
			if delay < previous {
				t.Fatalf("%+v: %v shrinks", policy, delays)
			}
			if limit := policy.Backoff.Max; limit > 0 && delay > limit {
				t.Fatalf("%+v: %v exceeds max", policy, delays)
			}
			previous = delay
			total += delay
		}
		if _, err := Schedule(policy, total); err != nil {
			t.Fatalf("%+v: refused with its own sum %s as limit: %v", policy, total, err)
		}
		if _, err := Schedule(policy, total-time.Millisecond); err == nil && total > time.Millisecond {
			t.Fatalf("%+v: accepted with a limit below its sum %s", policy, total)
		}
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	delays := make([]time.Duration, n)
	for i := range delays {
		delays[i] = d
	}
	return delays
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
