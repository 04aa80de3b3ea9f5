// Package row turns a row of an outbox table into a Kafka record. It is pure:
// it knows neither the database nor the broker.
package row

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/relay/config"
)

// The headers that every record carries. Aggregate type is spelled as in the
// template ${aggregatetype} and in Debezium's table.
const (
	HeaderID            = "id"
	HeaderType          = "type"
	HeaderAggregateType = "aggregatetype"
)

// Row is one row of the outbox. Every field is the column's text as the
// database prints it, except that a binary payload is its bytes; nil is NULL.
type Row struct {
	ID            []byte
	AggregateType []byte
	AggregateID   []byte
	Type          []byte
	Payload       []byte
	// Headers is the JSON text of the headers column, nil without one.
	Headers []byte
	// CreatedAt is zero without a created column.
	CreatedAt time.Time
}

// Encoder makes records of rows. It is not safe for concurrent use.
type Encoder struct{ router router }

// NewEncoder returns an encoder that routes by routes.
func NewEncoder(routes []config.Route) *Encoder {
	return &Encoder{router: newRouter(routes)}
}

// Encode fills in record, which keeps slices of the row, and appends to
// record.Headers. The error says why the row can never be published; the record has
// a topic then where that is known.
//
//   - The key is the aggregate id; NULL is a record without a key, for which
//     Kafka keeps no order.
//   - The headers are id (stable, so that consumers can drop duplicates: law
//     7), type, aggregatetype, and then the entries of the headers column.
//   - A NULL payload is a record without a value: in a compacted topic it deletes the
//     key. Whoever does not want that declares the column NOT NULL.
//   - The timestamp is the created column's; without one the client sets the
//     time of producing.
func (e *Encoder) Encode(row Row, record *kgo.Record) error {
	topic, err := e.router.topic(row.AggregateType)
	if err != nil {
		return err
	}
	record.Topic = topic
	if row.ID == nil {
		return errors.New("the id is NULL; consumers need it to drop duplicates")
	}
	headers := append(record.Headers,
		kgo.RecordHeader{Key: HeaderID, Value: row.ID},
		kgo.RecordHeader{Key: HeaderType, Value: row.Type},
		kgo.RecordHeader{Key: HeaderAggregateType, Value: row.AggregateType},
	)
	if row.Headers != nil {
		if headers, err = appendHeaders(headers, row.Headers); err != nil {
			return err
		}
	}
	record.Key = row.AggregateID
	record.Value = row.Payload
	record.Headers = headers
	record.Timestamp = row.CreatedAt
	return nil
}
