// Package names decides who may use which name on a Kafka cluster: topics,
// consumer groups and the dead letter topics of their lanes, and transactional
// IDs. The platform's rules bound what a namespace may name; among those that
// may, the record's holder keeps a name, then the older resource has it.
//
// It is pure: it asks neither Kubernetes nor Kafka, and reads no status.
package names
