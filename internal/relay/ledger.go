package relay

import (
	"iter"
	"slices"
)

// Ledger is what a source has handed out and not settled, in order. It outlives
// the sessions of its source, so that nothing that was acknowledged is published
// again while this process lives. T is how the source finds an item again. The
// zero value is ready to use. It is not safe for concurrent use.
type Ledger[T any] struct {
	first   int64 // the number of entries[0]
	entries []ledgerEntry[T]
}

type ledgerEntry[T any] struct {
	value T
	state entryState
}

type entryState uint8

const (
	handedOut entryState = iota
	acknowledged
	finished // settled, or to be handed out again under another number
)

// HandOut enters an item and returns its number.
func (l *Ledger[T]) HandOut(value T) int64 {
	if l.first == 0 {
		l.first = 1
	}
	l.entries = append(l.entries, ledgerEntry[T]{value, handedOut})
	return l.first + int64(len(l.entries)) - 1
}

// Get is the value of an item that is handed out or owed.
func (l *Ledger[T]) Get(number int64) (value T, ok bool) {
	e := l.entry(number)
	if e == nil || e.state == finished {
		return value, false
	}
	return e.value, true
}

// Acknowledge notes that an item that is handed out was acknowledged.
func (l *Ledger[T]) Acknowledge(number int64) {
	if e := l.entry(number); e != nil && e.state == handedOut {
		e.state = acknowledged
	}
}

// Settled notes that an item that is owed is settled.
func (l *Ledger[T]) Settled(number int64) {
	if e := l.entry(number); e != nil && e.state == acknowledged {
		e.state = finished
		l.trim()
	}
}

// Rewind forgets what is handed out and was not acknowledged.
func (l *Ledger[T]) Rewind() {
	for i := range l.entries {
		if l.entries[i].state == handedOut {
			l.entries[i].state = finished
		}
	}
	l.trim()
}

// Owed are the items that were acknowledged and are not settled, in order.
func (l *Ledger[T]) Owed() iter.Seq2[int64, T] { return l.in(acknowledged) }

// Out are the items that are handed out, in order.
func (l *Ledger[T]) Out() iter.Seq2[int64, T] { return l.in(handedOut) }

// All are the items that are handed out or owed, in order.
func (l *Ledger[T]) All() iter.Seq2[int64, T] { return l.in(handedOut, acknowledged) }

func (l *Ledger[T]) in(states ...entryState) iter.Seq2[int64, T] {
	return func(yield func(int64, T) bool) {
		first, entries := l.first, l.entries // which may be trimmed meanwhile
		for i := range entries {
			e := &entries[i]
			if slices.Contains(states, e.state) && !yield(first+int64(i), e.value) {
				return
			}
		}
	}
}

func (l *Ledger[T]) entry(number int64) *ledgerEntry[T] {
	if i := number - l.first; l.first > 0 && i >= 0 && i < int64(len(l.entries)) {
		return &l.entries[i]
	}
	return nil
}

// trim drops what is finished from the front.
func (l *Ledger[T]) trim() {
	n := 0
	for n < len(l.entries) && l.entries[n].state == finished {
		n++
	}
	l.first += int64(n)
	if l.entries = l.entries[n:]; len(l.entries) == 0 {
		l.entries = nil
	}
}
