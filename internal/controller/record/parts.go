package record

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	// logLimit is how long the log may grow before it is folded into a base.
	logLimit = 128 << 10
	// partLimit is the most bytes of a base in one ConfigMap, which may hold a
	// mebibyte with all that belongs to it.
	partLimit = 900 << 10

	// The keys of a log's ConfigMap, and of a part's.
	clusterKey = "cluster" // the Kafka cluster ID, in its own spelling
	writerKey  = "writer"  // the UID of the kube-system namespace of whoever keeps the record
	baseKey    = "base"    // "generation parts"
	logKey     = "log"     // the changes since the base, one a line
	partKey    = "entries" // a part of the base: its lines, compressed and then cut

	namePrefix = "weir-record-"
)

// logName is the name of the ConfigMap with the log of a Kafka cluster. The ID
// itself need not be a name that Kubernetes takes.
func logName(clusterID string) string {
	sum := sha256.Sum256([]byte(clusterID))
	return namePrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
}

// base says which parts make up the base of a record.
type base struct {
	generation, parts int
}

func (b base) String() string { return fmt.Sprintf("%d %d", b.generation, b.parts) }

func parseBase(text string) (base, error) {
	generation, parts, ok := strings.Cut(text, " ")
	g, errG := strconv.Atoi(generation)
	p, errP := strconv.Atoi(parts)
	if !ok || errG != nil || errP != nil || g < 0 || p < 0 {
		return base{}, fmt.Errorf("%q is not a generation and a number of parts", text)
	}
	return base{g, p}, nil
}

// partName is the name of the ConfigMap with one part of a base.
func partName(log string, generation, part int) string {
	return fmt.Sprintf("%s-%d-%d", log, generation, part)
}

// compressed is the lines of all entries, compressed and cut into parts. There
// is at least one.
func compressed(entries map[Key]Entry) ([][]byte, error) {
	text, err := all(entries)
	if err != nil {
		return nil, err
	}
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

// unpacked reads the entries of a base from its parts, put together again.
func unpacked(parts [][]byte) (map[Key]Entry, error) {
	entries := map[Key]Entry{}
	if len(parts) == 0 {
		return entries, nil
	}
	zip, err := gzip.NewReader(bytes.NewReader(slices.Concat(parts...)))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	return entries, replay(bytes.NewReader(text), entries)
}
