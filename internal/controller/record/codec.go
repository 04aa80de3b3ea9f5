package record

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// line is a change as it is written: one JSON object a line.
type line struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	// Gone: there is nothing any more. Otherwise the line has a phase.
	Gone  bool  `json:"gone,omitempty"`
	Phase Phase `json:"phase,omitempty"`
	Found bool  `json:"found,omitempty"`
	// Holder is "Kind namespace/name".
	Holder string            `json:"holder,omitempty"`
	Since  time.Time         `json:"since,omitzero"`
	Cause  string            `json:"cause,omitempty"`
	ID     string            `json:"id,omitempty"`
	Set    map[string]string `json:"set,omitempty"`
	Waits  *int              `json:"waits,omitempty"`
	Drain  Drain             `json:"drain,omitempty"`
}

var (
	kinds  = []Kind{Binding, Topic, Group, TransactionalID}
	phases = []Phase{Intended, Held, Leaving}
	drains = []Drain{InUse, ToRetry, ToDeadLetters, Drained}
)

// appendChange appends the line of a change to text.
func appendChange(text []byte, change Change) ([]byte, error) {
	l := line{Kind: change.Key.Kind, Name: change.Key.Name, Gone: change.Entry == nil}
	if e := change.Entry; e != nil {
		l.Phase, l.Found, l.Since, l.Cause, l.ID, l.Set = e.Phase, e.Found, e.Since, e.Cause, e.ID, e.Set
		if e.Holder != (Ref{}) {
			l.Holder = e.Holder.String()
		}
		if e.Lane != nil {
			l.Waits, l.Drain = &e.Lane.Waits, e.Lane.Drain
		}
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%s %q: %w", l.Kind, l.Name, err)
	}
	written, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", l.Kind, l.Name, err)
	}
	if len(written) > longestLine {
		return nil, fmt.Errorf("%s %.100q: %d bytes are more than a line may have", l.Kind, l.Name, len(written))
	}
	return append(append(text, written...), '\n'), nil
}

// check refuses what nobody would read as it was meant.
func (l line) check() error {
	switch {
	case !slices.Contains(kinds, l.Kind):
		return fmt.Errorf("unknown kind %q", l.Kind)
	case l.Name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(l.Name + l.Holder + l.ID + l.Cause):
		return errors.New("it is not UTF-8, and would be read as something else")
	case l.Gone && (l.Phase != "" || l.Holder != "" || l.ID != "" || l.Cause != "" || l.Set != nil || l.Waits != nil || l.Drain != "" || l.Found || !l.Since.IsZero()):
		return errors.New("it is gone, and something is said of it")
	case !l.Gone && !slices.Contains(phases, l.Phase):
		return fmt.Errorf("unknown phase %q", l.Phase)
	case !slices.Contains(drains, l.Drain):
		return fmt.Errorf("unknown drain %q", l.Drain)
	case l.Drain != InUse && l.Waits == nil:
		return errors.New("a drain without a lane")
	}
	_, err := parseRef(l.Holder)
	return err
}

// entry is what the line says of its key, nil where that is gone.
func (l line) entry() (*Entry, error) {
	if l.Gone {
		return nil, nil
	}
	holder, err := parseRef(l.Holder)
	if err != nil {
		return nil, err
	}
	entry := &Entry{Phase: l.Phase, Found: l.Found, Holder: holder, Since: l.Since, Cause: l.Cause, ID: l.ID, Set: l.Set}
	if l.Waits != nil {
		entry.Lane = &Lane{Waits: *l.Waits, Drain: l.Drain}
	}
	return entry, nil
}

func parseRef(text string) (Ref, error) {
	if text == "" {
		return Ref{}, nil
	}
	kind, rest, ok := strings.Cut(text, " ")
	if !ok || kind == "" || rest == "" {
		return Ref{}, fmt.Errorf("holder %q: want Kind namespace/name", text)
	}
	ref := Ref{Kind: kind, Name: rest}
	if namespace, name, namespaced := strings.Cut(rest, "/"); namespaced {
		ref = Ref{kind, namespace, name}
	}
	if ref.Name == "" || ref.String() != text || strings.ContainsAny(ref.Name+ref.Namespace, " /") {
		return Ref{}, fmt.Errorf("holder %q: want Kind namespace/name", text)
	}
	return ref, nil
}

// longestLine is the most bytes of one line: a topic's config may be long.
const longestLine = 1 << 20

// replay carries out the changes that text lists. A line that is not exactly as
// appendChange writes it is an error: what is not understood must not be taken
// for nothing, or for something else.
func replay(text io.Reader, entries map[Key]Entry) error {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := l.check(); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if again, err := json.Marshal(l); err != nil || !bytes.Equal(again, lines.Bytes()) {
			return fmt.Errorf("line %d: it is not as Weir writes it; Weir would write %s", n, again)
		}
		entry, err := l.entry()
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		key := Key{l.Kind, l.Name}
		if entry == nil {
			delete(entries, key)
		} else {
			entries[key] = *entry
		}
	}
	return lines.Err()
}

// all writes all entries, in an order that is always the same.
func all(entries map[Key]Entry) ([]byte, error) {
	var text []byte
	for _, key := range sorted(entries) {
		entry := entries[key]
		var err error
		if text, err = appendChange(text, Change{key, &entry}); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func sorted(entries map[Key]Entry) []Key {
	return slices.SortedFunc(maps.Keys(entries), func(a, b Key) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
	})
}
