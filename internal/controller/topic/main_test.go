package topic_test

import (
	"testing"

	"github.com/weir-dev/weir/test/env"
)

func TestMain(m *testing.M) { env.Main(m) }
