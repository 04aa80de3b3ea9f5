package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// userNames are all of Kafka's users in the story. Only the operator, weir, is
// given rights here; what the others may do is what Weir grants them.
var userNames = []string{"weir", "weir-retry", "shop-relay", "checkout", "billing", "stranger"}

// admin is a connection of Kafka's own administrator. The caller closes it.
func (d *demo) admin() (*kadm.Client, error) {
	client, err := kgo.NewClient(d.parts.kafka.Options(d.parts.kafka.Admin)...)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// prepareBroker makes the users, and gives the operator the rights that
// config/samples/platform asks for.
func (d *demo) prepareBroker(ctx context.Context) error {
	admin, err := d.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	if os.Getenv("KAFKA_BOOTSTRAP") != "" {
		if err := d.borrow(ctx, admin); err != nil {
			return err
		}
	}

	for _, name := range userNames {
		password := rand.Text()
		user, err := d.parts.kafka.AddUser(ctx, name, password)
		if err != nil {
			return err
		}
		d.users[name] = user
		d.set(variable(name), password)
	}
	d.command("kafka#", "kafka-configs --alter --entity-type users --entity-name "+strings.Join(userNames, "|")+" \\\n"+
		"  --add-config 'SCRAM-SHA-512=[password=…]'")

	for _, rights := range operatorRights() {
		d.command("kafka#", "kafka-acls --add --allow-principal User:weir "+rights.arguments)
		created, err := admin.CreateACLs(ctx, rights.acls.Allow("User:weir").AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral))
		if err != nil {
			return err
		}
		for _, one := range created {
			if one.Err != nil {
				return fmt.Errorf("give User:weir its rights: %w", one.Err)
			}
		}
	}
	return nil
}

// variable is the environment variable with a user's password.
func variable(user string) string {
	return strings.ToUpper(strings.ReplaceAll(user, "-", "_")) + "_PASSWORD"
}

// rights are given by kafka-acls with these arguments.
type rights struct {
	arguments string
	acls      *kadm.ACLBuilder
}

// spelled are the operations as kafka-acls spells them.
var spelled = map[kadm.ACLOperation]string{
	kadm.OpAlter: "Alter", kadm.OpAlterConfigs: "AlterConfigs", kadm.OpCreate: "Create",
	kadm.OpDelete: "Delete", kadm.OpDescribe: "Describe", kadm.OpDescribeConfigs: "DescribeConfigs",
}

func operatorRights() []rights {
	on := func(where string, acls *kadm.ACLBuilder, operations ...kadm.ACLOperation) rights {
		words := []string{where}
		for _, operation := range operations {
			words = append(words, "--operation "+spelled[operation])
		}
		return rights{strings.Join(words, " "), acls.Operations(operations...)}
	}
	return []rights{
		on("--cluster", kadm.NewACLs().Clusters(), kadm.OpAlter, kadm.OpDescribe),
		on("--topic '*'", kadm.NewACLs().Topics("*"),
			kadm.OpCreate, kadm.OpAlter, kadm.OpAlterConfigs, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpDelete),
		on("--group '*'", kadm.NewACLs().Groups("*"), kadm.OpDescribe),
	}
}

// borrow makes sure that the story disturbs nobody on a cluster that is not its
// own, and takes away at the end what it made there.
func (d *demo) borrow(ctx context.Context, admin *kadm.Client) error {
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
	d.parts.onClose("what the story made in Kafka", d.giveBack)
	return nil
}

func isStoryTopic(name string) bool {
	return strings.HasPrefix(name, "shop.") || strings.HasPrefix(name, "billing.")
}

// storyACLs matches the ACLs of the story's users.
func storyACLs() *kadm.ACLBuilder {
	principals := make([]string, len(userNames))
	for i, name := range userNames {
		principals[i] = "User:" + name
	}
	return kadm.NewACLs().AnyResource().Allow(principals...).AllowHosts().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)
}

// giveBack removes what the story made on a cluster that is not its own. It
// runs when everybody else has ended, interrupted or not.
func (d *demo) giveBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.patience)
	defer cancel()
	if err := d.parts.gate.Restore(); err != nil {
		return err
	}
	admin, err := d.admin()
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
	groups, err := admin.DeleteGroups(ctx, "billing", "weir-retry-main")
	errs = append(errs, err, groups.Error())
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
