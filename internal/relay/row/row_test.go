package row

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay/config"
)

var routes = []config.Route{
	{AggregateType: "order", Topic: "shop.orders"},
	{AggregateType: "invoice", Topic: "finance.${aggregatetype}s"},
	{Topic: "outbox.event.${aggregatetype}"},
}

func order() Row {
	return Row{
		ID: []byte("id-1"), AggregateType: []byte("order"), AggregateID: []byte("o-1"), Type: []byte("OrderPlaced"),
		Payload: []byte(`{"n": 1}`), CreatedAt: time.Unix(1_700_000_000, 0),
	}
}

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	standard := []kgo.RecordHeader{header("id", "id-1"), header("type", "OrderPlaced"), header("aggregatetype", "order")}
	base := func(change func(*kgo.Record)) *kgo.Record {
		r := &kgo.Record{
			Topic: "shop.orders", Key: []byte("o-1"), Value: []byte(`{"n": 1}`), Headers: standard, Timestamp: time.Unix(1_700_000_000, 0),
		}
		change(r)
		return r
	}
	tests := map[string]struct {
		change func(*Row)
		want   *kgo.Record
		poison string
	}{
		"as it is": {
			change: func(*Row) {},
			want:   base(func(*kgo.Record) {}),
		},
		"headers in their order, ours first and not overwritten": {
			change: func(r *Row) { r.Headers = []byte(`{"b": "text", "a": 1.50, "id": "x", "n": null, "o": {"k": [1, 2]}}`) },
			want: base(func(r *kgo.Record) {
				r.Headers = append(append([]kgo.RecordHeader{}, standard...),
					header("b", "text"), header("a", "1.50"), kgo.RecordHeader{Key: "n"}, header("o", `{"k": [1, 2]}`))
			}),
		},
		"JSON null in the headers column": {
			change: func(r *Row) { r.Headers = []byte(`null`) },
			want:   base(func(*kgo.Record) {}),
		},
		"empty payload is not NULL": {
			change: func(r *Row) { r.Payload = []byte{} },
			want:   base(func(r *kgo.Record) { r.Value = []byte{} }),
		},
		"no aggregate id, no key": {
			change: func(r *Row) { r.AggregateID = nil },
			want:   base(func(r *kgo.Record) { r.Key = nil }),
		},
		"no created column": {
			change: func(r *Row) { r.CreatedAt = time.Time{} },
			want:   base(func(r *kgo.Record) { r.Timestamp = time.Time{} }),
		},
		"NULL id": {
			change: func(r *Row) { r.ID = nil },
			poison: "the id is NULL; consumers need it to drop duplicates",
		},
		"NULL payload, no value": {
			change: func(r *Row) { r.Payload = nil },
			want:   base(func(r *kgo.Record) { r.Value = nil }),
		},
		"headers that are no object": {
			change: func(r *Row) { r.Headers = []byte(`["a"]`) },
			poison: "the headers column holds JSON, but no object",
		},
		"headers that are no JSON": {
			change: func(r *Row) { r.Headers = []byte(`{"a": 1`) },
			poison: "the headers column holds no JSON: EOF",
		},
		"two objects": {
			change: func(r *Row) { r.Headers = []byte(`{} {}`) },
			poison: "the headers column holds more than one JSON value",
		},
		"unroutable": {
			change: func(r *Row) { r.AggregateType = []byte("a b") },
			poison: `aggregate type "a b" is routed to topic "outbox.event.a b", which holds characters other than a-z, A-Z, 0-9, '.', '_' and '-'`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := order()
			test.change(&row)
			got := &kgo.Record{}
			err := NewEncoder(routes).Encode(row, got)
			if test.poison != "" {
				if err == nil || err.Error() != test.poison {
					t.Fatalf("got error %v, want %s", err, test.poison)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(kgo.Record{}, kgo.RecordAttrs{})); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		routes        []config.Route
		aggregateType string
		want, poison  string
	}{
		"by type":                  {routes, "order", "shop.orders", ""},
		"by type, with a template": {routes, "invoice", "finance.invoices", ""},
		"by template":              {routes, "parcel", "outbox.event.parcel", ""},
		"the first match wins":     {[]config.Route{{Topic: "all"}, {AggregateType: "order", Topic: "orders"}}, "order", "all", ""},
		"no match":                 {routes[:1], "parcel", "", `no route matches aggregate type "parcel": add one to spec.routes`},
		"compared exactly":         {routes[:1], "Order", "", `no route matches aggregate type "Order": add one to spec.routes`},
		"no name": {[]config.Route{{Topic: "${aggregatetype}"}}, "", "",
			`aggregate type "" is routed to topic "", which is no name that Kafka accepts`},
		"two dots": {[]config.Route{{Topic: "${aggregatetype}"}}, "..", "",
			`aggregate type ".." is routed to topic "..", which is no name that Kafka accepts`},
		"long name": {[]config.Route{{Topic: "${aggregatetype}"}}, strings.Repeat("x", 250), "",
			`aggregate type "` + strings.Repeat("x", 250) + `" is routed to topic "` + strings.Repeat("x", 250) + `", which is longer than 249 characters`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouter(test.routes)
			for range 2 { // the second time from memory
				got, err := r.topic([]byte(test.aggregateType))
				if poison := text(err); got != test.want || poison != test.poison {
					t.Errorf("got %q, %s; want %q, %s", got, poison, test.want, test.poison)
				}
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTopics(t *testing.T) {
	t.Parallel()
	got := Topics([]config.Route{{AggregateType: "a", Topic: "x"}, {Topic: "t.${aggregatetype}"}, {AggregateType: "b", Topic: "x"}, {Topic: "y"}})
	if diff := cmp.Diff([]string{"x", "y"}, got); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}

// FuzzHeaders checks that a headers column is read if and only if it is JSON
// and an object or null, and that every key arrives.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"a":"b"}`, `{"a":{"b":[1,null]},"a":2}`, `[1]`, `"s"`, `{"a":1}x`, `{"a"`, `{"id":"x","type":1}`, "\x00", ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, column []byte) {
		headers, err := appendHeaders(nil, column)
		var object map[string]json.RawMessage
		if wrong := json.Unmarshal(column, &object); (wrong == nil) != (err == nil) {
			t.Fatalf("%q: got %v, encoding/json says %v", column, err, wrong)
		}
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, h := range headers {
			names[h.Key] = true
		}
		for name := range object {
			reserved := name == HeaderID || name == HeaderType || name == HeaderAggregateType
			if names[name] == reserved {
				t.Errorf("%q: header %q present %v, reserved %v", column, name, names[name], reserved)
			}
		}
	})
}

// FuzzTopic checks that no aggregate type, however odd, makes a name that
// Kafka would refuse.
func FuzzTopic(f *testing.F) {
	for _, seed := range []string{"order", "", ".", "a b", "ä", "\xff", strings.Repeat("x", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, aggregateType string) {
		topic, err := newRouter([]config.Route{{Topic: "${aggregatetype}"}}).topic([]byte(aggregateType))
		if err != nil {
			return
		}
		if topic == "" || topic == "." || topic == ".." || len(topic) > 249 || strings.Trim(topic, topicChars) != "" {
			t.Errorf("%q is routed to %q", aggregateType, topic)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	encoder, row := NewEncoder(routes), order()
	headers := make([]kgo.RecordHeader, 0, 3)
	b.ReportAllocs()
	for b.Loop() {
		record := kgo.Record{Headers: headers}
		if err := encoder.Encode(row, &record); err != nil {
			b.Fatal(err)
		}
	}
}
