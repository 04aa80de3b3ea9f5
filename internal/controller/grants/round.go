package grants

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weir-dev/weir/internal/controller/record"
	"github.com/weir-dev/weir/internal/kafka"
)

// run makes one round after another: when something is declared, when a removal
// falls due, at the resync interval, and, with backoff, after one that failed.
func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause, looked := firstPause, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kick:
		case <-timer.C:
		}
		w.mu.Lock()
		if time.Since(looked) >= w.options.Resync {
			w.have, looked = nil, time.Now()
		}
		if !w.lookAgain.IsZero() && !w.lookAgain.After(time.Now()) {
			w.have = nil
		}
		w.mu.Unlock()
		next, err := w.round(ctx)
		w.note(err)
		w.wakeTouched()
		w.end()
		if errors.Is(err, record.ErrFenced) {
			w.options.Fatal(err)
			return
		}
		wait := w.options.Resync - time.Since(looked)
		w.mu.Lock()
		next = sooner(next, w.lookAgain)
		w.mu.Unlock()
		if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		if err != nil {
			wait, pause = min(wait, pause), min(2*pause, longestPause)
		} else {
			pause = firstPause
		}
		timer.Reset(max(wait, 0))
	}
}

// end tells those who await a round.
func (w *Writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.ended)
	w.ended = make(chan struct{})
}

// note remembers why a round could not do what was due.
func (w *Writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if (err == nil) != (w.trouble == nil) {
		for owner := range w.declared.owners {
			w.touched[owner] = struct{}{}
		}
	}
	w.trouble = err
}

// round looks, plans, stores, adds, removes and stores what came of it. Next is
// when a removal falls due.
func (w *Writer) round(ctx context.Context) (next time.Time, err error) {
	w.mu.Lock()
	look, suspended := w.have == nil, w.settings.Suspended
	w.mu.Unlock()
	if suspended {
		return time.Time{}, nil
	}
	if look {
		if err := w.look(ctx); err != nil {
			return time.Time{}, err
		}
	}
	w.mu.Lock()
	disabled, complete := !w.disabled.IsZero(), w.declared.Complete()
	plan := w.plan()
	w.mu.Unlock()
	if disabled {
		return time.Time{}, nil // nothing is stored or asked until there is an authorizer
	}
	if err := w.store(ctx, plan.Before); err != nil {
		return time.Time{}, err
	}
	w.mu.Lock()
	w.rebuilding = w.rebuilding && !complete
	w.mu.Unlock()
	// Whoever is entitled is never locked out: what is added comes first. A
	// failure does not keep the rest from being done.
	added := w.add(ctx, plan.Add)
	removed := w.remove(ctx, plan.Remove)
	return plan.Next, cmp.Or(added, removed)
}

// look asks for all bindings.
func (w *Writer) look(ctx context.Context) error {
	began := time.Now()
	have, err := w.options.Cluster.Bindings(ctx)
	if is := kafka.Classify(err); is != nil && is.Reason == kafka.AuthorizerDisabled {
		// For a moment, perhaps: nothing leaves the record.
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.disabled.IsZero() {
			w.disabled = time.Now()
			if len(w.ours) == 0 {
				// There was nothing to lose: it is no moment's absence.
				w.disabled = w.disabled.Add(-w.options.Resync)
			}
		}
		w.touchAll()
		return nil
	}
	if err != nil {
		return err
	}
	denials, err := w.options.Cluster.Denials(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denials = denials
	w.disabled, w.lookAgain = time.Time{}, time.Time{}
	for binding, change := range w.recent {
		_, shown := have[binding]
		switch {
		case began.Sub(change.at) >= brokersLag:
			delete(w.recent, binding)
		case shown != change.there:
			w.lookAgain = sooner(w.lookAgain, change.at.Add(brokersLag))
			if change.there {
				have[binding] = struct{}{}
			} else {
				delete(have, binding)
			}
		}
	}
	w.have = have
	clear(w.refused) // what was refused may be taken now
	for binding := range w.declared.Wants() {
		entry, ours := w.ours[binding]
		if _, there := have[binding]; ours && !there && entry.Phase == record.Held {
			w.removals[binding]++
		}
	}
	w.touchAll()
	return nil
}

func (w *Writer) touchAll() {
	for owner := range w.declared.owners {
		w.touched[owner] = struct{}{}
	}
}

// plan is what is to be done now. The lock is held.
func (w *Writer) plan() Plan {
	now := time.Now()
	w.braked = slices.DeleteFunc(w.braked, func(at time.Time) bool { return now.Sub(at) > brakeWindow })
	plan := PlanGrants(Question{
		Want: w.declared.Wants(), Ours: w.ours, Have: w.have, Causes: w.declared.Causes(),
		Now: now, Removed: len(w.braked), Agreed: w.settings.Agreed,
		Incomplete: !w.declared.Complete(), Additive: w.settings.Additive, Take: w.settings.Take, Rebuilt: w.rebuilding,
	})
	plan.Add = slices.DeleteFunc(plan.Add, func(binding kafka.Binding) bool { return w.refused[binding] != nil })
	w.held = plan.Held
	return plan
}

// store stores changes, and makes them the writer's.
func (w *Writer) store(ctx context.Context, changes []record.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := w.options.Record.Store(ctx, changes); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, change := range changes {
		binding, err := kafka.ParseBinding(change.Key.Name)
		switch {
		case err != nil:
		case change.Entry == nil:
			delete(w.ours, binding)
		default:
			w.ours[binding] = *change.Entry
		}
	}
	return nil
}

// add creates bindings whose intent is stored.
func (w *Writer) add(ctx context.Context, bindings []kafka.Binding) error {
	if len(bindings) == 0 {
		return nil
	}
	errs := w.options.Cluster.CreateBindings(ctx, bindings)
	var held []record.Change
	corrected := map[kafka.Binding][]record.Ref{}
	var failure error
	w.mu.Lock()
	for i, binding := range bindings {
		w.touch(binding)
		switch is := kafka.Classify(errs[i]); {
		case is == nil:
			w.recent[binding] = recent{time.Now(), true}
			if w.have != nil {
				w.have[binding] = struct{}{}
			}
			entry := w.ours[binding]
			if entry.Phase == record.Held {
				corrected[binding] = slices.SortedFunc(slices.Values(w.declared.wanters[binding]), compareRefs)
				continue
			}
			held = append(held, record.Change{Key: key(binding), Entry: &record.Entry{Phase: record.Held}})
		case is.Reason == kafka.AuthorizerDisabled:
			w.have, failure = nil, errs[i] // look again
		case is.Class == kafka.Rejected:
			w.refused[binding] = errs[i]
		default:
			failure = errs[i]
		}
	}
	w.mu.Unlock()
	if w.options.Corrected != nil {
		for binding, owners := range corrected {
			for _, owner := range owners {
				w.options.Corrected(owner, binding)
			}
		}
	}
	return cmp.Or(failure, w.store(ctx, held))
}

// remove deletes bindings that are stored as leaving.
func (w *Writer) remove(ctx context.Context, bindings []kafka.Binding) error {
	w.mu.Lock()
	// Somebody may have declared one of them while others were added.
	bindings = slices.DeleteFunc(bindings, func(binding kafka.Binding) bool { return w.declared.Wants()[binding] != 0 })
	w.mu.Unlock()
	if len(bindings) == 0 {
		return nil
	}
	errs := w.options.Cluster.DeleteBindings(ctx, bindings)
	var gone []record.Change
	var failure error
	w.mu.Lock()
	for i, binding := range bindings {
		if errs[i] != nil {
			failure = errs[i]
			continue
		}
		w.recent[binding] = recent{time.Now(), false}
		delete(w.have, binding)
		if w.declared.Wants()[binding] != 0 {
			continue // declared meanwhile: it is leaving in the record, and made again
		}
		gone = append(gone, record.Change{Key: key(binding)})
		if causeOf(w.declared.Causes(), w.ours, binding).braked() {
			w.braked = append(w.braked, time.Now())
		}
		w.declared.Forget(binding)
		delete(w.removals, binding)
	}
	w.mu.Unlock()
	return cmp.Or(failure, w.store(ctx, gone))
}

// touch marks the resources that want a binding. The lock is held.
func (w *Writer) touch(binding kafka.Binding) {
	for _, owner := range w.declared.wanters[binding] {
		w.touched[owner] = struct{}{}
	}
}
