package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Description is what a cluster says of itself.
type Description struct {
	ClusterID string
	Brokers   int
	// Authorizer is false where the brokers run without one, so that there are
	// no ACLs.
	Authorizer bool
}

// Describe asks a cluster what it is, whether each of its brokers can be reached
// where it says that it can, and whether Weir's principal may read and write ACL
// bindings there. A right that it lacks is a *Error with reason Unauthorized
// that names the ACL; ClusterID and Brokers are set nevertheless, once a broker
// has answered.
func (c *Cluster) Describe(ctx context.Context) (Description, error) {
	var description Description
	metadata, err := c.clusterMetadata(ctx)
	if err != nil {
		return description, action{cluster: c, doing: "describe the cluster"}.failed(err)
	}
	if metadata.ClusterID != nil {
		description.ClusterID = *metadata.ClusterID
	}
	description.Brokers = len(metadata.Brokers)
	if err := c.same(metadata.ClusterID); err != nil {
		return description, err
	}
	if err := c.reachAll(ctx, metadata.Brokers); err != nil {
		return description, err
	}

	_, err = c.describeACLs(ctx, kmsg.ACLResourceTypeCluster, kmsg.ACLPermissionTypeAllow)
	if errors.Is(err, kerr.SecurityDisabled) {
		return description, nil
	}
	if err != nil {
		return description, action{c, "list ACL bindings", onCluster(OperationDescribe)}.failed(err)
	}
	description.Authorizer = true
	return description, c.mayAlter(ctx)
}

// mayAlter reports an error where Weir's principal may not write ACL bindings.
// Brokers that cannot tell (Apache Kafka before 2.8, and some that are not
// Apache Kafka) leave that to the first binding that is written.
func (c *Cluster) mayAlter(ctx context.Context) error {
	needed := action{c, "look up Weir's own rights", onCluster("ALTER")}
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

// clusterMetadata asks for the brokers and the cluster ID, and for no topic.
func (c *Cluster) clusterMetadata(ctx context.Context) (*kmsg.MetadataResponse, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // not nil, which would mean all
	return request.RequestWith(ctx, c.client)
}

// reachAll speaks to each broker at the address that it advertises: a bootstrap
// address that answers says nothing about those.
func (c *Cluster) reachAll(ctx context.Context, brokers []kmsg.MetadataResponseBroker) error {
	errs := make([]error, len(brokers))
	var calls sync.WaitGroup
	for i, broker := range brokers {
		calls.Go(func() {
			_, err := c.client.Broker(int(broker.NodeID)).RetriableRequest(ctx, kmsg.NewPtrApiVersionsRequest())
			if err == nil {
				return
			}
			errs[i] = &Error{Class: Transient, Reason: Unreachable, Err: err, Message: fmt.Sprintf(
				"broker %d advertises %s, which does not answer (%s): check its advertised.listeners and the way from here; Weir keeps trying",
				broker.NodeID, net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port))), Cause(err))}
		})
	}
	calls.Wait()
	return together(errs)
}
