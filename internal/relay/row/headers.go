package row

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
)

// appendHeaders appends the entries of a JSON object, in their order; JSON null
// has none. A string becomes its text, null a header without a value, and anything else its JSON
// text. An entry named like a header that Weir sets itself is left out:
// consumers must be able to rely on those.
func appendHeaders(headers []kgo.RecordHeader, column []byte) ([]kgo.RecordHeader, error) {
	decoder := json.NewDecoder(bytes.NewReader(column))
	start, err := decoder.Token()
	if err == nil && start != nil {
		if start != json.Delim('{') {
			return nil, errors.New("the headers column holds JSON, but no object")
		}
		headers, err = appendEntries(headers, decoder)
	}
	if err != nil {
		return nil, fmt.Errorf("the headers column holds no JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the headers column holds more than one JSON value")
	}
	return headers, nil
}

// appendEntries reads an object from behind its opening brace to its end.
func appendEntries(headers []kgo.RecordHeader, decoder *json.Decoder) ([]kgo.RecordHeader, error) {
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		switch name := key.(string); name { // the decoder has seen to it that a key is a string
		case HeaderID, HeaderType, HeaderAggregateType:
		default:
			headers = append(headers, kgo.RecordHeader{Key: name, Value: headerValue(value)})
		}
	}
	_, err := decoder.Token() // the closing brace
	return headers, err
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
