package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// drift changes Kafka behind Weir's back.
func (d *demo) drift(ctx context.Context) error {
	admin, err := d.parts.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	before, err := retention(ctx, admin)
	if err != nil {
		return err
	}

	const hour = "3600000"
	d.command("kafka#", "kafka-configs --alter --entity-type topics --entity-name shop.orders --add-config retention.ms="+hour)
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr(hour)}}, ordersTopic)
	if err := errors.Join(err, firstAlterErr(altered)); err != nil {
		return err
	}
	d.command("kafka#", "kafka-acls --remove --force --allow-principal User:checkout --topic shop.orders --operation Write")
	removed, err := admin.DeleteACLs(ctx, checkoutACLs(kadm.OpWrite))
	if err != nil {
		return err
	}
	if len(removed) != 1 || len(removed[0].Deleted) != 1 {
		return fmt.Errorf("the story is wrong: it has removed %+v, want one ACL", removed)
	}

	began := time.Now()
	if err := d.await(ctx, func(ctx context.Context) error {
		now, err := retention(ctx, admin)
		if err == nil && now != before {
			err = fmt.Errorf("retention.ms is %s, want %s back", now, before)
		}
		return err
	}); err != nil {
		return err
	}
	d.holds("retention.ms is %s again, after %.1fs", before, time.Since(began).Seconds())
	if err := d.await(ctx, func(ctx context.Context) error {
		n, err := countACLs(ctx, admin, kadm.OpWrite)
		if err == nil && n == 0 {
			err = errors.New("checkout's right to write to shop.orders has not come back")
		}
		return err
	}); err != nil {
		return err
	}
	d.holds("checkout may write to shop.orders again, after %.1fs", time.Since(began).Seconds())

	const events = "kubectl events -n shop --for topic/orders"
	if err := d.await(ctx, func(ctx context.Context) error {
		told, err := d.ask(ctx, events)
		for _, word := range []string{"retention.ms", "User:checkout"} {
			if err == nil && !strings.Contains(told, word) {
				err = fmt.Errorf("no event of topic/orders speaks of %s", word)
			}
		}
		return err
	}); err != nil {
		return err
	}
	return d.run(ctx, events)
}

// retention is the retention.ms of shop.orders on the broker.
func retention(ctx context.Context, admin *kadm.Client) (string, error) {
	configs, err := admin.DescribeTopicConfigs(ctx, ordersTopic)
	if err != nil {
		return "", err
	}
	config, err := configs.On(ordersTopic, nil)
	if err != nil {
		return "", err
	}
	for _, one := range config.Configs {
		if one.Key == "retention.ms" {
			return one.MaybeValue(), nil
		}
	}
	return "", errors.New("the broker does not tell the retention.ms of shop.orders")
}

func firstAlterErr(altered kadm.AlterConfigsResponses) error {
	for _, one := range altered {
		if one.Err != nil {
			return one.Err
		}
	}
	return nil
}

// checkoutACLs matches checkout's ACLs on shop.orders for an operation.
func checkoutACLs(operation kadm.ACLOperation) *kadm.ACLBuilder {
	return kadm.NewACLs().Topics(ordersTopic).Allow("User:checkout").AllowHosts().Operations(operation).ResourcePatternType(kadm.ACLPatternLiteral)
}

func countACLs(ctx context.Context, admin *kadm.Client, operation kadm.ACLOperation) (n int, err error) {
	described, err := admin.DescribeACLs(ctx, checkoutACLs(operation))
	if err != nil {
		return 0, err
	}
	for _, one := range described {
		if one.Err != nil {
			return 0, one.Err
		}
		n += len(one.Described)
	}
	return n, nil
}
