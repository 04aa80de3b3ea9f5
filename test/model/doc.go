// Package model is the model test: it does at random what teams, a platform and a
// hostile neighbour do to resources and to Kafka, kills the manager in between, and
// compares Kafka with what a small oracle says whenever all is quiet. `make model`
// runs one seed, `make test` a short one.
package model
