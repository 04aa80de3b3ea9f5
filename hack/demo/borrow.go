package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-dev/weir/internal/controller/estate"
)

// borrow makes sure that the story disturbs nobody on a cluster that is not its
// own, and takes away at the end what it made there.
func (p *parts) borrow(ctx context.Context) error {
	admin, err := p.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var taken []string
	for _, name := range topics.Names() {
		if isStoryTopic(name) {
			taken = append(taken, "topic "+name)
		}
	}
	scrams, err := admin.DescribeUserSCRAMs(ctx)
	if err != nil {
		return err
	}
	for name := range scrams {
		if slices.Contains(userNames, name) {
			taken = append(taken, "user "+name)
		}
	}
	acls, err := admin.DescribeACLs(ctx, storyACLs())
	if err != nil {
		return err
	}
	for _, one := range acls {
		for _, acl := range one.Described {
			taken = append(taken, fmt.Sprintf("ACL of %s on %s", acl.Principal, acl.Name))
		}
	}
	if len(taken) > 0 {
		return fmt.Errorf("the cluster at KAFKA_BOOTSTRAP has what the story would make, and remove at its end: %s; "+
			"use another cluster, or remove them first", strings.Join(taken, ", "))
	}
	p.onClose("what the story made in Kafka", p.giveBack)
	return nil
}

func isStoryTopic(name string) bool {
	return strings.HasPrefix(name, "shop.") || strings.HasPrefix(name, "finance.")
}

// storyACLs matches the ACLs of the story's users.
func storyACLs() *kadm.ACLBuilder {
	principals := make([]string, len(userNames))
	for i, name := range userNames {
		principals[i] = "User:" + name
	}
	return kadm.NewACLs().AnyResource().Allow(principals...).AllowHosts().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)
}

// giveBack removes what the story made on a cluster that is not its own, after
// the pods have ended.
func (p *parts) giveBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin, err := p.admin()
	if err != nil {
		return err
	}
	defer admin.Close()

	var errs []error
	topics, err := admin.ListTopics(ctx)
	errs = append(errs, err)
	var ours []string
	for _, name := range topics.Names() {
		if isStoryTopic(name) {
			ours = append(ours, name)
		}
	}
	deleted, err := admin.DeleteTopics(ctx, ours...)
	errs = append(errs, err, deleted.Error())
	brokers, err := admin.BrokerMetadata(ctx)
	errs = append(errs, err, deleteGroups(ctx, admin, billingGroup, estate.RetryGroup(brokers.Cluster)))
	_, err = admin.DeleteACLs(ctx, storyACLs())
	errs = append(errs, err)
	for _, name := range userNames {
		for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
			altered, err := admin.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: name, Mechanism: mechanism}}, nil)
			errs = append(errs, err, altered.Error())
		}
	}
	return errors.Join(errs...)
}

// deleteGroups deletes consumer groups. A member that was killed counts as one
// until its session has run out, so this may take as long.
func deleteGroups(ctx context.Context, admin *kadm.Client, names ...string) error {
	for {
		deleted, err := admin.DeleteGroups(ctx, names...)
		if err != nil {
			return err
		}
		err = nil
		for _, group := range deleted {
			if group.Err != nil && !errors.Is(group.Err, kerr.GroupIDNotFound) {
				err = errors.Join(err, fmt.Errorf("delete the group %s: %w", group.Group, group.Err))
			}
		}
		if !errors.Is(err, kerr.NonEmptyGroup) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
