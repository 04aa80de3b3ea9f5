package estate

import (
	"context"

	"github.com/weir-dev/weir/internal/controller/record"
)

// Rebuilt says whether what a resource declares was made by Weir though the
// record does not have it, since that was lost.
func (e *Estate) Rebuilt(ref record.Ref) bool {
	_, was := e.rebuilt[ref]
	return was
}

// Lost says whether the record was lost when it was to be read, or had not been
// rebuilt since then.
func (e *Estate) Lost() bool { return e.rebuilt != nil }

// Recover ends the rebuilding of a record that was lost, once all resources that
// were there have declared what they want: an operator that starts then takes what
// is not recorded for somebody else's. Errors are halts.
func (e *Estate) Recover(ctx context.Context) error {
	e.mu.Lock()
	recovered := e.recovered
	e.mu.Unlock()
	if !e.Lost() || recovered || e.writer.Report().Rebuilding {
		return nil
	}
	if err := e.stored(e.book.Rebuilt(ctx)); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recovered = true
	return nil
}
