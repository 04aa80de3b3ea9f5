package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// userNames are all of Kafka's users in the story. Only the operator, weir, is
// given rights here; what the others may do is what Weir grants them.
var userNames = []string{"weir", "weir-retry", "shop-relay", "checkout", "billing", "stranger"}

// admin is a connection of Kafka's own administrator. The caller closes it.
func (p *parts) admin() (*kadm.Client, error) {
	client, err := kgo.NewClient(p.kafka.Options(p.kafka.Admin)...)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// prepareBroker makes the users, and gives the operator the rights that
// config/samples/platform asks for.
func (d *demo) prepareBroker(ctx context.Context) error {
	admin, err := d.parts.admin()
	if err != nil {
		return err
	}
	defer admin.Close()

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
