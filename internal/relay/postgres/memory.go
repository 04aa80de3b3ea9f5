package postgres

import "github.com/weir-dev/weir/internal/relay"

// Memory is what a relay remembers of its outbox from one session to the next.
// The zero value remembers nothing. One source uses it at a time.
type Memory struct {
	// ledger is what was read and is not settled: a session that begins settles
	// what the last one owes, and publishes none of it again.
	ledger relay.Ledger[place]
	// table is the OID of the table that all this is about: the numbers of another
	// one of the same name mean other rows.
	table uint32
	// bytes is how many bytes of payloads, as they are stored, a read asks for; 0 is
	// not known yet.
	bytes int
}

// place is how a row is found again.
type place struct {
	sequence int64
	id       string // only where numbers are not unique
}

// about makes the memory that of a table.
func (m *Memory) about(table uint32) {
	if m.table != table {
		*m = Memory{table: table}
	}
	m.ledger.Rewind()
}

// places are rows as the statements of Table take them.
type places struct {
	numbers   []int64 // in the ledger
	sequences []int64
	ids       []string
}

func (p *places) add(number int64, at place, unique bool) {
	p.numbers = append(p.numbers, number)
	p.sequences = append(p.sequences, at.sequence)
	if !unique {
		p.ids = append(p.ids, at.id)
	}
}

// args are the arguments of a statement about the rows.
func (p *places) args() []any {
	if p.sequences == nil {
		p.sequences = []int64{} // not NULL
	}
	if p.ids == nil {
		return []any{p.sequences}
	}
	return []any{p.sequences, p.ids}
}

// halves are the rows cut in two.
func (p *places) halves() (first, second places) {
	n := len(p.numbers) / 2
	first = places{numbers: p.numbers[:n], sequences: p.sequences[:n]}
	second = places{numbers: p.numbers[n:], sequences: p.sequences[n:]}
	if p.ids != nil {
		first.ids, second.ids = p.ids[:n], p.ids[n:]
	}
	return first, second
}
