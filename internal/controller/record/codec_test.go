package record

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// some are entries of each kind, with everything that they can have.
func some() map[Key]Entry {
	return map[Key]Entry{
		{Binding, "User:billing * READ Topic Literal shop.orders"}: {Phase: Held, Found: true},
		{Binding, `User:"odd name" * READ Group Prefixed a b`}:     {Phase: Leaving, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Topic, "shop.orders"}: {
			Phase: Held, Holder: Ref{"Topic", "shop", "orders"}, ID: "AAAAAAAAAAAAAAAAAAAAAQ", Set: map[string]string{"retention.ms": "-1", "cleanup.policy": "compact,delete"},
		},
		{Group, "billing"}:          {Phase: Intended, Holder: Ref{"ConsumerGroup", "finance", "billing"}, Lane: &Lane{Waits: 4}},
		{TransactionalID, "ledger"}: {Phase: Held, Holder: Ref{Kind: "KafkaCluster", Name: "main"}},
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	text, err := all(some())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"kind":"Binding","name":"User:\"odd name\" * READ Group Prefixed a b","phase":"Leaving","since":"2026-01-02T03:04:05Z"}
{"kind":"Binding","name":"User:billing * READ Topic Literal shop.orders","phase":"Held","found":true}
{"kind":"Group","name":"billing","phase":"Intended","holder":"ConsumerGroup finance/billing","waits":4}
{"kind":"Topic","name":"shop.orders","phase":"Held","holder":"Topic shop/orders","id":"AAAAAAAAAAAAAAAAAAAAAQ","set":{"cleanup.policy":"compact,delete","retention.ms":"-1"}}
{"kind":"TransactionalID","name":"ledger","phase":"Held","holder":"KafkaCluster main"}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	got := map[Key]Entry{}
	if err := replay(bytes.NewReader(text), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(some(), got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	gone, err := appendChange(nil, Change{Key: Key{Topic, "shop.orders"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := replay(bytes.NewReader(gone), got); err != nil || len(got) != len(some())-1 {
		t.Errorf("after %s: %d entries, %v", gone, len(got), err)
	}
}

// What cannot be understood is never taken for nothing.
func TestLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const good = `{"kind":"Topic","name":"a","phase":"Held"}` + "\n"
	for text, want := range map[string]string{
		good + "not JSON\n": "line 2: ",
		good + "\n":         "line 2: ",
		good + `{"kind":"Topic","name":"b","phase":"Gone"}`:                        `line 2: unknown phase "Gone"`,
		good + `{"kind":"Quota","name":"b","phase":"Held"}`:                        `line 2: unknown kind "Quota"`,
		good + `{"kind":"Topic","name":"","phase":"Held"}`:                         "line 2: the name is empty",
		good + `{"kind":"Topic","name":"b","phase":"Held","owner":"x"}`:            "line 2: it is not as Weir writes it",
		good + `{"kind":"Topic","name":"b","phase":"Held","phase":"Held"}`:         "line 2: it is not as Weir writes it",
		good + `{"KIND":"Topic","name":"b","phase":"Held"}`:                        "line 2: it is not as Weir writes it",
		good + `{"kind":"Topic","name":"b","phase":"Held"}}`:                       "line 2: ",
		good + `{"kind":"Topic","name":"b","phase":"Held"} {"kind":"Topic"`:        "line 2: ",
		good + `{"kind":"Topic","name":"a"}`:                                       `line 2: unknown phase ""`,
		good + `{"kind":"Topic","name":"a","gone":true,"phase":"Held"}`:            "line 2: it is gone, and something is said of it",
		good + `{"kind":"Topic","name":"b","phase":"Held","holder":"Topic shop/"}`: `line 2: holder "Topic shop/": want Kind namespace/name`,
		`{"kind":"Topic","name":"b","phase":"Held","holder":"nobody"}`:             `line 1: holder "nobody": want Kind namespace/name`,
	} {
		err := replay(strings.NewReader(text), map[Key]Entry{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s…", text, err, want)
		}
	}
	for _, change := range []Change{{Key: Key{"Quota", "a"}}, {Key: Key{Topic, ""}}, {Key{Topic, "a"}, &Entry{Phase: "Gone"}}, {Key{Topic, "a"}, &Entry{}},
		{Key{Topic, "a"}, &Entry{Phase: Held, Holder: Ref{Kind: "Topic"}}},
		{Key{Topic, "a\xff"}, &Entry{Phase: Held}}, {Key{Topic, "a"}, &Entry{Phase: Held, ID: "\xff"}},
		{Key{Topic, "a"}, &Entry{Phase: Held, Holder: Ref{"Topic", "shop", "a b"}}},
		{Key{Topic, strings.Repeat("a", longestLine)}, &Entry{Phase: Held}},
	} {
		if _, err := appendChange(nil, change); err == nil {
			t.Errorf("%v can be written", change)
		}
	}
}

func FuzzReplay(f *testing.F) {
	text, err := all(some())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		entries := map[Key]Entry{}
		if replay(bytes.NewReader(text), entries) != nil {
			return
		}
		written, err := all(entries)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again := map[Key]Entry{}
		if err := replay(bytes.NewReader(written), again); err != nil || len(again) != len(entries) {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}

// 10,000 topics with two grants each and 1,000 groups with policies.
func TestSizeOfABase(t *testing.T) {
	t.Parallel()
	entries := map[Key]Entry{}
	put := func(kind Kind, name string, entry Entry) { entries[Key{kind, name}] = entry }
	for i := range 10_000 {
		namespace := fmt.Sprintf("team-%d", i%200)
		topic := fmt.Sprintf("%s.orders-%d", namespace, i)
		put(Topic, topic, Entry{Phase: Held, Holder: Ref{"Topic", namespace, fmt.Sprint("orders-", i)}, ID: fmt.Sprintf("%022d", i*7919)})
		for _, operation := range []string{"READ", "WRITE"} {
			put(Binding, fmt.Sprintf("User:service-%d * %s Topic Literal %s", i%500, operation, topic), Entry{Phase: Held})
		}
	}
	for i := range 1_000 {
		for n := range 76 {
			put(Binding, fmt.Sprintf("User:retry * READ Topic Literal team-%d.group-%d.wait-%d", i%200, i, n), Entry{Phase: Held})
		}
	}
	text, err := all(entries)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := compressed(text)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, part := range parts {
		if len(part) > partLimit {
			t.Errorf("a part of %d bytes", len(part))
		}
		size += len(part)
	}
	t.Logf("%d entries: %d bytes in %d parts", len(entries), size, len(parts))
	got, err := unpacked(parts)
	if err != nil || len(got) != len(entries) {
		t.Errorf("%d entries are read, %v", len(got), err)
	}
}
