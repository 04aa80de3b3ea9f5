package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// ConnectWithHooks is Connect for tests that watch the requests.
func ConnectWithHooks(config Config, hooks ...kgo.Hook) (*Cluster, error) {
	return connect(config, kgo.WithHooks(hooks...))
}

// ConnectWith is Connect for tests that break the connection.
func ConnectWith(config Config, options ...kgo.Opt) (*Cluster, error) {
	return connect(config, options...)
}
