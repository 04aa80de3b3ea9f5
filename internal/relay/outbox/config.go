package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-dev/weir/internal/relay/config"
)

// load reads and checks the worker's file. What can be wrong here is the
// operator's (or a packager's) mistake, so it ends the worker.
func load(dir string) (config.Outbox, error) {
	text, err := os.ReadFile(filepath.Join(dir, config.OutboxFile))
	if err != nil {
		return config.Outbox{}, fmt.Errorf("reading the configuration: %w", err)
	}
	var o config.Outbox
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return config.Outbox{}, fmt.Errorf("reading %s: %w", config.OutboxFile, err)
	}
	if err := check(o); err != nil {
		return config.Outbox{}, fmt.Errorf("%s: %w", config.OutboxFile, err)
	}
	return o, nil
}

func check(o config.Outbox) error {
	c := o.Columns
	switch {
	case o.Name == "":
		return errors.New("name is empty")
	case o.Database.Engine != "Postgres":
		return fmt.Errorf("database.engine is %q; this worker knows Postgres", o.Database.Engine)
	case o.Table == "":
		return errors.New("table is empty")
	case c.ID == "" || c.AggregateType == "" || c.AggregateID == "" || c.Type == "" || c.Payload == "" || c.Sequence == "":
		return errors.New("columns lacks one of id, aggregateType, aggregateID, type, payload, sequence")
	case o.AfterPublish != config.Delete && o.AfterPublish != config.Mark:
		return fmt.Errorf("afterPublish is %q; use %s or %s", o.AfterPublish, config.Delete, config.Mark)
	case o.AfterPublish == config.Mark && c.Status == "":
		return errors.New("afterPublish Mark needs columns.status")
	case o.OnPoison != config.Block:
		return fmt.Errorf("onPoison is %q; this worker knows %s", o.OnPoison, config.Block)
	case o.Polling.BatchSize < 1 || o.Polling.MaxInterval <= 0:
		return errors.New("polling.batchSize and polling.maxInterval must be positive")
	case len(o.Routes) == 0:
		return errors.New("routes is empty: every row would be poison")
	}
	return nil
}
