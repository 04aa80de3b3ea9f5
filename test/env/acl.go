package env

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Allow gives a user operations on the resources of acls, by literal names, and
// returns when the brokers show it: they follow the controller's answer.
func (k *Kafka) Allow(tb testing.TB, user User, acls *kadm.ACLBuilder, operations ...kadm.ACLOperation) {
	tb.Helper()
	admin := kadm.NewClient(k.Client(tb, k.Admin))
	acls = acls.Allow("User:" + user.Name).AllowHosts("*").Operations(operations...).ResourcePatternType(kadm.ACLPatternLiteral)
	results, err := admin.CreateACLs(tb.Context(), acls)
	if err != nil {
		tb.Fatalf("env: %v", err)
	}
	for _, result := range results {
		if result.Err != nil {
			tb.Fatalf("env: %v", result.Err)
		}
	}
	Await(tb, func() string {
		shown, err := admin.DescribeACLs(tb.Context(), acls)
		if err != nil {
			return err.Error()
		}
		for _, one := range shown {
			if one.Err != nil || len(one.Described) == 0 {
				return fmt.Sprintf("the brokers do not show %s's rights: %v", user.Name, one.Err)
			}
		}
		return ""
	})
}
