package record

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// source is where one record is read.
type source struct {
	namespace string
	log       string // the name of its log
	get       func(name string) (*corev1.ConfigMap, error)
}

func (s source) unreadable(name string, err error) error {
	return fmt.Errorf("ConfigMap %s/%s, which holds what Weir owns, cannot be read: %w; restore it from a backup, or delete ConfigMap %s, so that what is declared counts as made by Weir",
		s.namespace, name, err, s.log)
}

// check refuses a log that is another cluster's, or not whole.
func (s source) check(log *corev1.ConfigMap) error {
	for _, key := range []string{clusterKey, writerKey, baseKey, logKey} {
		if _, ok := log.Data[key]; !ok {
			return s.unreadable(s.log, fmt.Errorf("it has no key %q", key))
		}
	}
	if name := logName(log.Data[clusterKey]); name != s.log {
		return s.unreadable(s.log, fmt.Errorf("it is of the Kafka cluster %q, whose record is ConfigMap %s", log.Data[clusterKey], name))
	}
	return nil
}

// read puts the record together from its log and the parts that the log names.
func (s source) read(log *corev1.ConfigMap) ([]part, map[Key]Entry, error) {
	parts, err := parseParts(log.Data[baseKey])
	if err != nil {
		return nil, nil, s.unreadable(s.log, err)
	}
	var contents [][]byte
	for _, p := range parts {
		found, err := s.get(p.name)
		if apierrors.IsNotFound(err) {
			return nil, nil, s.unreadable(p.name, errors.New("it does not exist"))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the record: %w", err)
		}
		content := found.BinaryData[partKey]
		if digestOf(content) != p.digest {
			return nil, nil, s.unreadable(p.name, errors.New("its content has not the digest that the log names"))
		}
		contents = append(contents, content)
	}
	entries, err := unpacked(contents)
	if err != nil {
		return nil, nil, s.unreadable(parts[0].name, err)
	}
	if err := replay(strings.NewReader(log.Data[logKey]), entries); err != nil {
		return nil, nil, s.unreadable(s.log, err)
	}
	return parts, entries, nil
}
