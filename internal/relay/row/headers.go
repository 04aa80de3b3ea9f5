package row

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
)

// appendHeaders appends the entries of a JSON object, in their order. A string
// becomes its text, null a header without a value, and anything else its JSON
// text. An entry named like a header that Weir sets itself is left out:
// consumers must be able to rely on those.
func appendHeaders(headers []kgo.RecordHeader, object []byte) ([]kgo.RecordHeader, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	token, err := decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("the headers column holds no JSON: %w", err)
	}
	if token == nil {
		return headers, nil // JSON null
	}
	if token != json.Delim('{') {
		return nil, errors.New("the headers column holds JSON, but no object")
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("the headers column holds no JSON: %w", err)
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, fmt.Errorf("the headers column holds no JSON: %w", err)
		}
		name := key.(string) // a JSON object's keys are strings
		switch name {
		case HeaderID, HeaderType, HeaderAggregateType:
			continue
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: headerValue(raw)})
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, fmt.Errorf("the headers column holds no JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the headers column holds more than one JSON object")
	}
	return headers, nil
}

func headerValue(raw json.RawMessage) []byte {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	return raw
}
