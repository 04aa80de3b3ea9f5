package retry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/weir-dev/weir/internal/deadletter"
	"github.com/weir-dev/weir/internal/relay/config"
)

// files is the content of the worker's directory. It is not changed once made.
type files struct {
	config.Retry
	// text is the worker's file as it was read.
	text []byte
	// groups are the files of groups, by name.
	groups map[string]groupFile
}

// groupFile is a file of a group as it was read last.
type groupFile struct {
	digest string
	// group is what is in effect: what the file said when it was good; nil where
	// it never was.
	group *config.RetryGroup
	// err is why the file as it is now cannot be used, and read when that was seen.
	err  error
	read time.Time
}

// readFiles reads the worker's directory. A group's file that cannot be used
// leaves that group as it was in last, and no other one; last may be nil. Where
// nothing differs from last, last is returned.
func readFiles(dir string, last *files) (*files, error) {
	text, err := os.ReadFile(filepath.Join(dir, config.RetryFile))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if last == nil {
		last = &files{}
	}
	read := &files{Retry: last.Retry, text: text, groups: map[string]groupFile{}}
	if !bytes.Equal(text, last.text) {
		if read.Retry, err = parse(text); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !config.IsGroupFile(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // it goes at this moment
		}
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		before := last.groups[name]
		if digest := config.Digest(string(text)); digest == before.digest {
			read.groups[name] = before
		} else {
			read.groups[name] = newGroupFile(name, text, digest, before)
		}
	}
	if bytes.Equal(read.text, last.text) && maps.Equal(read.groups, last.groups) {
		return last, nil
	}
	return read, nil
}

func newGroupFile(name string, text []byte, digest string, before groupFile) groupFile {
	group, err := parseGroup(name, text)
	if err != nil {
		return groupFile{digest: digest, group: before.group, err: err, read: time.Now().UTC()}
	}
	return groupFile{digest: digest, group: group}
}

// effective are the groups whose records the worker moves, in the order of
// their IDs.
func (f *files) effective() []config.RetryGroup {
	var all []config.RetryGroup
	for _, file := range f.groups {
		if file.group != nil {
			all = append(all, *file.group)
		}
	}
	slices.SortFunc(all, func(a, b config.RetryGroup) int { return bytes.Compare([]byte(a.Group), []byte(b.Group)) })
	return all
}

// sameCluster reports whether two configurations differ in their groups only.
func (f *files) sameCluster(other *files) bool { return reflect.DeepEqual(f.Retry, other.Retry) }

// parse reads and checks the worker's file.
func parse(text []byte) (config.Retry, error) {
	var r config.Retry
	if err := decode(text, &r); err != nil {
		return r, fmt.Errorf("reading %s: %w", config.RetryFile, err)
	}
	var err error
	switch {
	case r.Name == "":
		err = errors.New("name is empty")
	case r.ConsumerGroup == "":
		err = errors.New("consumerGroup is empty")
	case len(r.Kafka.BootstrapServers) == 0:
		err = errors.New("kafka.bootstrapServers is empty")
	default:
		return r, nil
	}
	return r, fmt.Errorf("%s: %w", config.RetryFile, err)
}

// parseGroup reads and checks a group's file of that name.
func parseGroup(name string, text []byte) (*config.RetryGroup, error) {
	g := &config.RetryGroup{}
	if err := decode(text, g); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if err := checkGroup(*g); err != nil {
		return nil, fmt.Errorf("%s: group %q: %w", name, g.Group, err)
	}
	if of := config.GroupFile(g.Group); of != name {
		return nil, fmt.Errorf("%s: group %q: its file is named %s", name, g.Group, of)
	}
	return g, nil
}

func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
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
	case g.Draining != "" && g.Draining != config.ToRetry && g.Draining != config.ToDeadLetters:
		return fmt.Errorf("draining must be %s or %s, is %q", config.ToRetry, config.ToDeadLetters, g.Draining)
	}
	for i, delay := range g.Delays {
		if delay <= 0 {
			return fmt.Errorf("delay %d is not positive", i+1)
		}
	}
	_, err := deadletter.Topics(g.Group, g.Waits)
	return err
}
