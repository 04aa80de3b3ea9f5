package retry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
)

// parse reads and checks the worker's file.
func parse(text []byte) (*config.Retry, error) {
	r := &config.Retry{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(r); err != nil {
		return nil, fmt.Errorf("reading %s: %w", config.RetryFile, err)
	}
	if err := check(r); err != nil {
		return nil, fmt.Errorf("%s: %w", config.RetryFile, err)
	}
	return r, nil
}

func check(r *config.Retry) error {
	switch {
	case r.Name == "":
		return errors.New("name is empty")
	case r.ConsumerGroup == "":
		return errors.New("consumerGroup is empty")
	case len(r.Kafka.BootstrapServers) == 0:
		return errors.New("kafka.bootstrapServers is empty")
	}
	seen := map[string]bool{}
	for _, g := range r.Groups {
		if seen[g.Group] {
			return fmt.Errorf("group %q appears twice", g.Group)
		}
		seen[g.Group] = true
		if err := checkGroup(g); err != nil {
			return fmt.Errorf("group %q: %w", g.Group, err)
		}
	}
	return nil
}

func checkGroup(g config.RetryGroup) error {
	switch {
	case g.MaxAttempts < 1 || len(g.Delays) != g.MaxAttempts-1:
		return fmt.Errorf("maxAttempts %d needs %d delays, there are %d", g.MaxAttempts, g.MaxAttempts-1, len(g.Delays))
	case g.Waits < len(g.Delays):
		return fmt.Errorf("%d waits are too few for %d delays", g.Waits, len(g.Delays))
	case g.JitterPercent < 0 || g.JitterPercent > 100:
		return fmt.Errorf("jitterPercent must be from 0 to 100, is %d", g.JitterPercent)
	case g.MaxElapsed < 0:
		return errors.New("maxElapsed is negative")
	}
	for i, delay := range g.Delays {
		if delay <= 0 {
			return fmt.Errorf("delay %d is not positive", i+1)
		}
	}
	_, err := deadletter.Topics(g.Group, g.Waits)
	return err
}

// sameCluster reports whether two configurations differ in their groups only.
func sameCluster(a, b *config.Retry) bool {
	return a.Name == b.Name && a.ConsumerGroup == b.ConsumerGroup && reflect.DeepEqual(a.Kafka, b.Kafka)
}
