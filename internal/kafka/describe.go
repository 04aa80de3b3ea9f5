package kafka

import (
	"context"
	"errors"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Description is what a cluster says of itself.
type Description struct {
	ClusterID string
	Brokers   int
	// Topics counts the topics that Weir's principal may see, without Kafka's
	// internal ones.
	Topics int
	// Authorizer is false where the brokers run without one, so that there are
	// no ACLs.
	Authorizer bool
}

// Describe asks a cluster what it is and whether Weir's principal may read and
// write ACL bindings there. A right that it lacks is a *Error with reason
// Unauthorized that names the ACL; ClusterID, Brokers and Topics are set
// nevertheless.
func (c *Cluster) Describe(ctx context.Context) (Description, error) {
	var description Description
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client)
	if err != nil {
		return description, action{doing: "describe the cluster"}.failed(err)
	}
	if metadata.ClusterID != nil {
		description.ClusterID = *metadata.ClusterID
	}
	description.Brokers = len(metadata.Brokers)
	for _, topic := range metadata.Topics {
		if !topic.IsInternal {
			description.Topics++
		}
	}

	_, err = c.describeACLs(ctx, kmsg.ACLResourceTypeCluster)
	if errors.Is(err, kerr.SecurityDisabled) {
		return description, nil
	}
	if err != nil {
		return description, action{doing: "list ACL bindings", needs: "DESCRIBE on the Cluster"}.failed(err)
	}
	description.Authorizer = true
	return description, c.mayAlter(ctx)
}

// mayAlter reports an error where Weir's principal may not write ACL bindings.
// Brokers that cannot tell (Apache Kafka before 2.8, and some that are not
// Apache Kafka) leave that to the first binding that is written.
func (c *Cluster) mayAlter(ctx context.Context) error {
	needed := action{doing: "look up Weir's own rights", needs: "ALTER on the Cluster"}
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeClusterAuthorizedOperations = true
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		if is := Classify(err); is.Reason != Unreachable {
			return nil
		}
		return needed.failed(err)
	}
	if err := codeError(response.ErrorCode, response.ErrorMessage); err != nil {
		return needed.failed(err)
	}
	rights := response.ClusterAuthorizedOperations
	if rights != math.MinInt32 && rights&(1<<kmsg.ACLOperationAlter) == 0 {
		return needed.failed(kerr.ClusterAuthorizationFailed)
	}
	return nil
}
