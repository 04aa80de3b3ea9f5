package retry

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-dev/weir/internal/deadletter"
)

func headersOf(r *kgo.Record) []deadletter.Header {
	headers := make([]deadletter.Header, len(r.Headers))
	for i, header := range r.Headers {
		headers[i] = deadletter.Header(header)
	}
	return headers
}

func kgoHeaders(headers []deadletter.Header) []kgo.RecordHeader {
	all := make([]kgo.RecordHeader, len(headers))
	for i, header := range headers {
		all[i] = kgo.RecordHeader(header)
	}
	return all
}

func size(r *kgo.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, header := range r.Headers {
		n += len(header.Key) + len(header.Value)
	}
	return n
}
