package record

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// logLimit is how long the log may grow before it becomes a layer of the base.
	logLimit = 128 << 10
	// mostLayers is how many layers a base may have before it is written anew: all
	// of it each time would cost the square of what is recorded.
	mostLayers = 32
	// partLimit is the most bytes of a base in one ConfigMap, which may hold a
	// mebibyte with all that belongs to it.
	partLimit = 900 << 10

	// The keys of a log's ConfigMap, and of a part's.
	clusterKey = "cluster" // the Kafka cluster ID, in its own spelling
	writerKey  = "writer"  // the UID of the kube-system namespace of whoever keeps the record
	keeperKey  = "keeper"  // the process that has read it last: what an earlier one writes meets a conflict
	baseKey    = "base"    // the parts, one a line: name and digest
	logKey     = "log"     // the changes since the base, one a line
	lostKey    = "lost"    // there while a record that was lost is being rebuilt
	partKey    = "entries" // a part of the base: its lines, compressed and then cut

	namePrefix = "weir-record-"
)

// logName is the name of the ConfigMap with the log of a Kafka cluster. The ID
// itself need not be a name that Kubernetes takes.
func logName(clusterID string) string { return namePrefix + ShortID(clusterID) }

// ShortID is a Kafka cluster ID as a name that Kubernetes and Kafka take: 16
// lower-case letters and digits.
func ShortID(clusterID string) string {
	sum := sha256.Sum256([]byte(clusterID))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
}

// part is one ConfigMap of a base. No two are ever of the same name, so that
// nobody overwrites one that a log names.
type part struct {
	name, digest string
}

func newPart(log string, content []byte) part {
	return part{log + "-" + strings.ToLower(rand.Text()), digestOf(content)}
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// formatParts and parseParts are the parts as a log names them.
func formatParts(parts []part) string {
	var text strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&text, "%s %s\n", p.name, p.digest)
	}
	return text.String()
}

func parseParts(text string) ([]part, error) {
	var parts []part
	for one := range strings.Lines(text) {
		name, digest, ok := strings.Cut(strings.TrimSuffix(one, "\n"), " ")
		if !ok || name == "" || digest == "" {
			return nil, fmt.Errorf("%q is not the name of a part and its digest", one)
		}
		parts = append(parts, part{name, digest})
	}
	return parts, nil
}

// compressed is lines, compressed and cut into the contents of parts. There is at
// least one.
func compressed(text []byte) ([][]byte, error) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(text); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(packed.Bytes(), partLimit)), nil
}

// unpacked reads the entries of a base from its contents, put together again: what
// was compressed by itself is a member of the gzip format, and any number of them
// is read as one (RFC 1952, section 2.2).
func unpacked(contents [][]byte) (map[Key]Entry, error) {
	entries := map[Key]Entry{}
	if len(contents) == 0 {
		return entries, nil
	}
	zip, err := gzip.NewReader(bytes.NewReader(slices.Concat(contents...)))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	return entries, replay(bytes.NewReader(text), entries)
}
