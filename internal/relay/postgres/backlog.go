package postgres

import (
	"context"
	"fmt"
	"time"
)

// Backlog is what waits in the outbox.
type Backlog struct {
	// Rows that are not settled.
	Rows int64
	// OldestSeconds is the age of the first of them by the database's clock; 0
	// without rows, −1 without a created column.
	OldestSeconds float64
}

// Backlog counts. Call it on a session other than the source's: on a large
// table it takes its time. The error is a *relay.Problem.
func (s *Session) Backlog(ctx context.Context, t Table) (Backlog, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var b Backlog
	var age *float64
	if err := s.conn.QueryRow(ctx, t.backlog()).Scan(&b.Rows, &age); err != nil {
		return Backlog{}, Problem(fmt.Errorf("counting pending rows: %w", err))
	}
	switch {
	case b.Rows == 0:
	case age == nil:
		b.OldestSeconds = -1
	default:
		b.OldestSeconds = max(0, *age)
	}
	return b, nil
}

// The pause between two counts is backlogShare times what the last count took,
// so that counting stays cheap however large the table grows.
const (
	backlogInterval = 2 * time.Second
	backlogShare    = 20
	// MaxBacklogPause is how long a session that only counts may be silent.
	MaxBacklogPause = time.Minute
)

// BacklogPause is how long to wait after a count that took so long.
func BacklogPause(took time.Duration) time.Duration {
	return min(max(backlogInterval, backlogShare*took), MaxBacklogPause)
}
