// Package config is the contract between the operator and its workers: the
// files that internal/controller renders and cmd/relay reads, and the state
// that a worker serves over HTTP and the operator reads back. It imports the
// standard library only, so that neither side drags the other's dependencies.
//
// Every path in these files is relative to the directory that the worker is
// given (`--dir`), where Kubernetes projects the ConfigMap and the Secrets of
// the pod. Secrets are named by path and never copied into a config file.
package config
