package config

// OutboxFile is the name of the file that `relay outbox` reads in its directory.
const OutboxFile = "outbox.json"

// What becomes of a row after its record was acknowledged.
const (
	Delete = "Delete"
	Mark   = "Mark"
)

// What happens to a row that can never be published.
const Block = "Block"

// Outbox is the whole configuration of one `relay outbox` worker.
type Outbox struct {
	// Name is "<namespace>/<name>" of the OutboxRelay; it names the relay in
	// logs, metrics and PostgreSQL's application_name.
	Name string `json:"name"`

	Kafka    Kafka    `json:"kafka"`
	Database Database `json:"database"`
	// Table is "schema.table"; a name without schema is looked up in "public".
	Table   string  `json:"table"`
	Columns Columns `json:"columns"`
	Polling Polling `json:"polling"`
	// AfterPublish is Delete or Mark.
	AfterPublish string `json:"afterPublish"`
	// OnPoison is Block.
	OnPoison string `json:"onPoison"`
	// Routes are tried in order; the first match wins. A row that none
	// matches is poison.
	Routes []Route `json:"routes"`
}

// Database says where the outbox is.
type Database struct {
	// Engine is "Postgres".
	Engine string `json:"engine"`
	// URIFile holds a connection URI, as CloudNativePG writes it.
	URIFile string `json:"uriFile"`
}

// Columns names the outbox table's columns. Those that say optional may be empty.
type Columns struct {
	ID            string `json:"id"`
	AggregateType string `json:"aggregateType"`
	AggregateID   string `json:"aggregateID"`
	Type          string `json:"type"`
	Payload       string `json:"payload"`
	// Sequence orders the rows: an identity or serial column without CACHE.
	Sequence string `json:"sequence"`
	// CreatedAt (optional) is the record's timestamp.
	CreatedAt string `json:"createdAt,omitempty"`
	// Headers (optional) is a json or jsonb object of strings.
	Headers string `json:"headers,omitempty"`
	// Status and PublishedAt are used by afterPublish Mark: the text column
	// that holds PENDING, SENT or FAILED, and (optional) the time of marking.
	Status      string `json:"status,omitempty"`
	PublishedAt string `json:"publishedAt,omitempty"`
}

// Polling tunes the polling source.
type Polling struct {
	// MaxInterval is the longest wait between two looks at an idle table.
	MaxInterval Duration `json:"maxInterval"`
	// BatchSize is the most rows read, produced and settled together.
	BatchSize int `json:"batchSize"`
}

// Route sends the rows of an aggregate type to a topic.
type Route struct {
	// AggregateType is compared exactly; empty matches every row.
	AggregateType string `json:"aggregateType,omitempty"`
	// Topic is the Kafka topic's name, or a template in which
	// ${aggregatetype} stands for the row's aggregate type.
	Topic string `json:"topic"`
}
