package kafka

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bindings returns all bindings of the cluster that allow, except those on
// delegation tokens and users, which Weir never touches. The map is the
// caller's. Concurrent calls share one DescribeAcls. A cluster without an
// authorizer is a *Error with reason AuthorizerDisabled.
func (c *Cluster) Bindings(ctx context.Context) (map[Binding]struct{}, error) {
	bindings, err := c.lists.do(ctx, struct{}{})
	if err != nil {
		return nil, action{c, "list ACL bindings", onCluster(OperationDescribe)}.failed(err)
	}
	return maps.Clone(bindings), nil
}

// Denials returns all bindings of the cluster that deny, in the form of those that
// allow. Kafka heeds them first. Weir never touches them. The map is the caller's.
func (c *Cluster) Denials(ctx context.Context) (map[Binding]struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	denials, err := c.describeACLs(ctx, kmsg.ACLResourceTypeAny, kmsg.ACLPermissionTypeDeny)
	if err != nil {
		return nil, action{c, "list ACL bindings", onCluster(OperationDescribe)}.failed(err)
	}
	return denials, nil
}

func (c *Cluster) listBindings(ctx context.Context, callers []struct{}) []outcome[map[Binding]struct{}] {
	bindings, err := c.describeACLs(ctx, kmsg.ACLResourceTypeAny, kmsg.ACLPermissionTypeAllow)
	return slices.Repeat([]outcome[map[Binding]struct{}]{{bindings, err}}, len(callers))
}

func (c *Cluster) describeACLs(ctx context.Context, resource kmsg.ACLResourceType, permission kmsg.ACLPermissionType) (map[Binding]struct{}, error) {
	request := kmsg.NewPtrDescribeACLsRequest()
	request.ResourceType = resource
	request.ResourcePatternType = kmsg.ACLResourcePatternTypeAny
	request.Operation = kmsg.ACLOperationAny
	request.PermissionType = permission
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil, err
	}
	if err := codeError(response.ErrorCode, response.ErrorMessage); err != nil {
		return nil, err
	}
	bindings := map[Binding]struct{}{}
	for _, resource := range response.Resources {
		kind, known := resourceNames[resource.ResourceType]
		pattern, plain := patternNames[resource.ResourcePatternType]
		if !known || !plain {
			continue
		}
		for _, entry := range resource.ACLs {
			if entry.PermissionType != permission {
				continue
			}
			bindings[Binding{
				Principal: entry.Principal,
				Host:      entry.Host,
				Operation: entry.Operation.String(),
				Resource:  kind,
				Pattern:   pattern,
				Name:      resource.ResourceName,
			}] = struct{}{}
		}
	}
	return bindings, nil
}

// perBinding calls send with at most requestItems bindings at a time, each
// binding once. send returns one error or nil for each, or the error of all.
func perBinding(callers [][]Binding, send func([]Binding) ([]error, error)) []outcome[[]error] {
	failures := map[Binding]error{}
	unique := sortBindings(slices.Concat(callers...))
	for chunk := range slices.Chunk(unique, requestItems) {
		errs, err := send(chunk)
		for i, binding := range chunk {
			switch {
			case err != nil:
				failures[binding] = err
			case i < len(errs):
				failures[binding] = errs[i]
			default:
				failures[binding] = errNoAnswer
			}
		}
	}
	outcomes := make([]outcome[[]error], len(callers))
	for i, bindings := range callers {
		for _, binding := range bindings {
			outcomes[i].value = append(outcomes[i].value, failures[binding])
		}
	}
	return outcomes
}

func (c *Cluster) addBindings(ctx context.Context, callers [][]Binding) []outcome[[]error] {
	return perBinding(callers, func(bindings []Binding) ([]error, error) {
		if err := c.guard(ctx); err != nil {
			return nil, err
		}
		request := kmsg.NewPtrCreateACLsRequest()
		for _, binding := range bindings {
			acl := binding.acl()
			creation := kmsg.NewCreateACLsRequestCreation()
			creation.ResourceType = acl.resource
			creation.ResourceName = binding.Name
			creation.ResourcePatternType = acl.pattern
			creation.Principal = binding.Principal
			creation.Host = binding.Host
			creation.Operation = acl.operation
			creation.PermissionType = kmsg.ACLPermissionTypeAllow
			request.Creations = append(request.Creations, creation)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return nil, err
		}
		var errs []error
		for _, result := range response.Results {
			errs = append(errs, codeError(result.ErrorCode, result.ErrorMessage))
		}
		return errs, nil
	})
}

func (c *Cluster) removeBindings(ctx context.Context, callers [][]Binding) []outcome[[]error] {
	return perBinding(callers, func(bindings []Binding) ([]error, error) {
		if err := c.guard(ctx); err != nil {
			return nil, err
		}
		request := kmsg.NewPtrDeleteACLsRequest()
		for _, binding := range bindings {
			acl := binding.acl()
			filter := kmsg.NewDeleteACLsRequestFilter()
			filter.ResourceType = acl.resource
			filter.ResourceName = &binding.Name
			filter.ResourcePatternType = acl.pattern
			filter.Principal = &binding.Principal
			filter.Host = &binding.Host
			filter.Operation = acl.operation
			filter.PermissionType = kmsg.ACLPermissionTypeAllow
			request.Filters = append(request.Filters, filter)
		}
		response, err := request.RequestWith(ctx, c.client)
		if err != nil {
			return nil, err
		}
		var errs []error
		for _, result := range response.Results {
			err := codeError(result.ErrorCode, result.ErrorMessage)
			for _, match := range result.MatchingACLs {
				if err == nil {
					err = codeError(match.ErrorCode, match.ErrorMessage)
				}
			}
			errs = append(errs, err)
		}
		return errs, nil
	})
}

// CreateBindings creates bindings, and returns the outcome of each, in their order:
// nil where it is there. Concurrent calls share their requests. A broker shows them
// in Bindings a moment later.
func (c *Cluster) CreateBindings(ctx context.Context, bindings []Binding) []error {
	return c.eachBinding(ctx, &c.adds, "add ACL binding ", bindings)
}

// DeleteBindings deletes exactly these bindings, and returns the outcome of each,
// in their order: nil where it is not there. Concurrent calls share their requests.
func (c *Cluster) DeleteBindings(ctx context.Context, bindings []Binding) []error {
	return c.eachBinding(ctx, &c.removes, "remove ACL binding ", bindings)
}

func (c *Cluster) eachBinding(ctx context.Context, through *coalescer[[]Binding, []error], doing string, bindings []Binding) []error {
	errs := make([]error, len(bindings))
	var valid []Binding
	var at []int
	for i, binding := range bindings {
		if err := binding.validate(); err != nil {
			errs[i] = &Error{Class: Rejected, Reason: InvalidRequest, Message: doing + binding.String() + ": " + err.Error(), Err: err}
			continue
		}
		valid, at = append(valid, binding), append(at, i)
	}
	if len(valid) == 0 {
		return errs
	}
	failures, err := through.do(ctx, valid)
	for n, i := range at {
		if err != nil { // that of all
			errs[i] = action{c, doing + valid[0].String(), onCluster("ALTER")}.failed(err)
		} else {
			errs[i] = action{c, doing + bindings[i].String(), onCluster("ALTER")}.failed(failures[n])
		}
	}
	return errs
}
