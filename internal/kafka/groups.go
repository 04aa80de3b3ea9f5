package kafka

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The types of a group, by the protocol that its members speak.
const (
	Classic  = "Classic"
	Consumer = "Consumer"
	Share    = "Share"
)

// GroupState is a group as its coordinator describes it.
type GroupState struct {
	// State is Kafka's word: Stable, Empty, PreparingRebalance,
	// CompletingRebalance, Assigning or Reconciling.
	State string
	// Type is Classic, Consumer or Share.
	Type string
	// Members is the number of members.
	Members int
	// Err is a *Error that says why the group could not be described; the
	// other fields mean nothing then.
	Err error
}

// DescribeGroups describes the groups, with one request per coordinator and
// group protocol that the brokers know. A group that does not exist is not in
// the result; a failure is that group's alone.
func (c *Cluster) DescribeGroups(ctx context.Context, ids []string) map[string]GroupState {
	groups := make(map[string]GroupState, len(ids))
	rest := slices.Compact(slices.Sorted(slices.Values(ids)))
	known, err := c.knownRequests(ctx)
	if err != nil {
		for _, id := range rest {
			groups[id] = GroupState{Err: c.describing(id).failed(err)}
		}
		return groups
	}
	// Every protocol answers for its own groups only, and "not found" for the
	// rest. Classic comes after Consumer, because a coordinator may answer for
	// a consumer group as if it were a classic one without members.
	for _, protocol := range []struct {
		key      kmsg.Key
		describe func(context.Context, []string) describedGroups
	}{
		{kmsg.ConsumerGroupDescribe, c.describeConsumerGroups},
		{kmsg.DescribeGroups, c.describeClassicGroups},
		{kmsg.ShareGroupDescribe, c.describeShareGroups},
	} {
		if len(rest) == 0 {
			break
		}
		if !known[protocol.key] {
			continue
		}
		described := protocol.describe(ctx, rest)
		rest = slices.DeleteFunc(rest, func(id string) bool {
			group, found := described[id]
			if found {
				groups[id] = group
			}
			return found
		})
	}
	return groups
}

// knownRequests asks one broker which requests it answers; the others are
// taken to be of the same version.
func (c *Cluster) knownRequests(ctx context.Context) (map[kmsg.Key]bool, error) {
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	known := make(map[kmsg.Key]bool, len(resp.ApiKeys))
	for _, key := range resp.ApiKeys {
		known[kmsg.Key(key.ApiKey)] = true
	}
	return known, nil
}

// describedGroups are the answers in one group protocol; groups that the
// protocol does not know are not in it.
type describedGroups map[string]GroupState

func (groups describedGroups) add(c *Cluster, id string, group GroupState, code int16, message *string) {
	switch err := kerr.ErrorForCode(code); {
	case errors.Is(err, kerr.GroupIDNotFound), errors.Is(err, kerr.UnsupportedVersion):
		// UNSUPPORTED_VERSION: the brokers know the protocol and have it switched off.
	case err != nil:
		groups[id] = GroupState{Err: c.describing(id).refused(code, message)}
	case group.State == "Dead":
		// What brokers before 4.0 answer for a group that does not exist.
	default:
		groups[id] = group
	}
}

func (groups describedGroups) fail(c *Cluster, ids []string, err error) {
	for _, id := range ids {
		groups[id] = GroupState{Err: c.describing(id).failed(err)}
	}
}

func (c *Cluster) describeConsumerGroups(ctx context.Context, ids []string) describedGroups {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = ids
	groups := make(describedGroups, len(ids))
	for _, shard := range c.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			groups.fail(c, shard.Req.(*kmsg.ConsumerGroupDescribeRequest).Groups, shard.Err)
			continue
		}
		for _, g := range shard.Resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			groups.add(c, g.Group, GroupState{State: g.State, Type: Consumer, Members: len(g.Members)}, g.ErrorCode, g.ErrorMessage)
		}
	}
	return groups
}

func (c *Cluster) describeClassicGroups(ctx context.Context, ids []string) describedGroups {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = ids
	groups := make(describedGroups, len(ids))
	for _, shard := range c.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			groups.fail(c, shard.Req.(*kmsg.DescribeGroupsRequest).Groups, shard.Err)
			continue
		}
		for _, g := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
			groups.add(c, g.Group, GroupState{State: g.State, Type: Classic, Members: len(g.Members)}, g.ErrorCode, g.ErrorMessage)
		}
	}
	return groups
}

func (c *Cluster) describeShareGroups(ctx context.Context, ids []string) describedGroups {
	req := kmsg.NewPtrShareGroupDescribeRequest()
	req.GroupIDs = ids
	groups := make(describedGroups, len(ids))
	for _, shard := range c.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			groups.fail(c, shard.Req.(*kmsg.ShareGroupDescribeRequest).GroupIDs, shard.Err)
			continue
		}
		for _, g := range shard.Resp.(*kmsg.ShareGroupDescribeResponse).Groups {
			groups.add(c, g.GroupID, GroupState{State: g.GroupState, Type: Share, Members: len(g.Members)}, g.ErrorCode, g.ErrorMessage)
		}
	}
	return groups
}

func (c *Cluster) describing(id string) action {
	return action{c, "describe group " + id, on(ResourceGroup, id, OperationDescribe)}
}
