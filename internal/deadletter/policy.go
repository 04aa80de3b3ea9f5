package deadletter

import (
	"fmt"
	"math"
	"time"
)

// Policy says how often and when a failed record is tried again.
type Policy struct {
	// MaxAttempts counts the first delivery: 1 means no retry.
	MaxAttempts int
	Backoff     Backoff
	// MaxElapsed counts from the first failure; zero means no limit.
	MaxElapsed time.Duration
	// PermanentErrors are error classes that are never retried; a leading or
	// trailing * matches any text.
	PermanentErrors []string
}

// Backoff is the wait between attempts.
type Backoff struct {
	Policy BackoffPolicy
	// Delay is the wait before attempt 2.
	Delay time.Duration
	// Factor is used by Exponential only, at least 1.
	Factor float64
	// Max caps each delay; zero means no cap.
	Max time.Duration
	// JitterPercent moves a due time by up to this share of the delay, later only.
	JitterPercent int
}

// BackoffPolicy is how delays grow.
type BackoffPolicy string

// The wait before attempt n+1.
const (
	Fixed       BackoffPolicy = "Fixed"       // delay
	Linear      BackoffPolicy = "Linear"      // delay · n
	Exponential BackoffPolicy = "Exponential" // delay · factor^(n−1)
)

// MostAttempts is the largest Policy.MaxAttempts, since each wait is a topic.
const MostAttempts = 100

// Schedule returns the delays of the policy, without jitter: element i is the
// wait before attempt i+2, so there are MaxAttempts−1 of them. A delay has
// whole milliseconds, as Kafka's timestamps do.
//
// Limit is how long the topics keep a record: a schedule that takes longer in
// total is refused. Zero means no limit. Errors name the field as in a
// DeadLetterPolicy's spec.
func Schedule(policy Policy, limit time.Duration) ([]time.Duration, error) {
	if err := policy.check(); err != nil {
		return nil, err
	}
	var total time.Duration
	delays := make([]time.Duration, 0, policy.MaxAttempts-1)
	for n := 1; n < policy.MaxAttempts; n++ {
		delay, ok := policy.Backoff.delay(n)
		if !ok || total > math.MaxInt64-delay {
			return nil, fmt.Errorf("retry.backoff: the wait before attempt %d is too long to count; set or lower retry.backoff.max", n+1)
		}
		total += delay
		if limit > 0 && total > limit {
			return nil, fmt.Errorf("retry: the waits before attempt %d add up to %s, longer than the %s that records are kept; "+
				"lower retry.maxAttempts or retry.backoff.max", n+1, total, limit)
		}
		delays = append(delays, delay)
	}
	return delays, nil
}

func (p Policy) check() error {
	b := p.Backoff
	switch {
	case p.MaxAttempts < 1 || p.MaxAttempts > MostAttempts:
		return fmt.Errorf("retry.maxAttempts: must be from 1 to %d, is %d", MostAttempts, p.MaxAttempts)
	case p.MaxElapsed < 0:
		return fmt.Errorf("retry.maxElapsed: must not be negative, is %s", p.MaxElapsed)
	case b.Policy != Fixed && b.Policy != Linear && b.Policy != Exponential:
		return fmt.Errorf("retry.backoff.policy: must be Fixed, Linear or Exponential, is %q", b.Policy)
	case b.Delay < time.Millisecond:
		return fmt.Errorf("retry.backoff.delay: must be at least 1ms, is %s", b.Delay)
	case b.Policy == Exponential && !(b.Factor >= 1 && b.Factor <= math.MaxFloat64): // also refuses NaN
		return fmt.Errorf("retry.backoff.factor: must be at least 1, is %v", b.Factor)
	case b.Max < 0:
		return fmt.Errorf("retry.backoff.max: must not be negative, is %s", b.Max)
	case b.Max > 0 && b.Max < b.Delay:
		return fmt.Errorf("retry.backoff.max: must not be shorter than retry.backoff.delay, is %s", b.Max)
	case b.JitterPercent < 0 || b.JitterPercent > 100:
		return fmt.Errorf("retry.backoff.jitterPercent: must be from 0 to 100, is %d", b.JitterPercent)
	}
	for _, pattern := range p.PermanentErrors {
		if err := checkPattern(pattern); err != nil {
			return fmt.Errorf("retry.permanentErrors: %w", err)
		}
	}
	return nil
}

// delay is the wait before attempt n+1, false where a Duration cannot hold it.
func (b Backoff) delay(n int) (time.Duration, bool) {
	ceiling := time.Duration(math.MaxInt64)
	if b.Max > 0 {
		ceiling = b.Max
	}
	delay := float64(b.Delay)
	switch b.Policy {
	case Linear:
		if b.Delay > ceiling/time.Duration(n) {
			return b.Max, b.Max > 0
		}
		return (b.Delay * time.Duration(n)).Round(time.Millisecond), true
	case Exponential:
		delay *= math.Pow(b.Factor, float64(n-1))
	}
	if delay >= float64(ceiling) {
		return b.Max, b.Max > 0
	}
	return time.Duration(delay).Round(time.Millisecond), true
}
