package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-dev/weir/test/env"
)

// declare installs Weir, and does what the platform team and the two service
// teams do once.
func (d *demo) declare(ctx context.Context) error {
	d.say("Weir runs in the cluster as its own user with its own rights:")
	if err := d.run(ctx, "kubectl apply -k hack/demo/weir"); err != nil {
		return err
	}
	if err := d.wait(ctx, "--for=condition=Available -n weir-system deployment/weir-manager"); err != nil {
		return err
	}

	d.say("Kafka's administrator makes the users. Only Weir gets rights by hand, the others get theirs from Weir:")
	if err := d.prepareBroker(ctx); err != nil {
		return err
	}
	d.say("The platform team says where Kafka is, and as whom Weir speaks to it:")
	for _, command := range []string{
		"kubectl -n weir-system create secret generic weir-kafka \\\n  --from-literal=username=weir --from-literal=password=\"$WEIR_PASSWORD\"",
		"kubectl -n weir-system create secret generic weir-retry-kafka \\\n  --from-literal=username=weir-retry --from-literal=password=\"$WEIR_RETRY_PASSWORD\"",
		"kubectl kustomize config/samples/platform | \\\n  sed " + d.platformEdits() + " | kubectl apply -f -",
	} {
		if err := d.run(ctx, command); err != nil {
			return err
		}
	}

	d.say("The team shop has a database. Its outbox is a table, and the relay may do no more there than it must:")
	shop, err := openShop(ctx, d.teller, d.parts.postgres)
	if err != nil {
		return err
	}
	d.shop = shop
	d.set("SHOP_DB_URI", shop.relayURI)

	d.say("The teams shop and finance write down their topology:")
	for _, command := range []string{
		"kubectl create namespace shop --save-config",
		"kubectl -n shop create secret generic shop-db-app --from-literal=uri=\"$SHOP_DB_URI\"",
		"kubectl -n shop create secret generic shop-relay-kafka \\\n  --from-literal=username=shop-relay --from-literal=password=\"$SHOP_RELAY_PASSWORD\"",
		"kubectl apply -k config/samples",
	} {
		if err := d.run(ctx, command); err != nil {
			return err
		}
	}
	if err := d.allReady(ctx); err != nil {
		return err
	}
	if err := d.run(ctx, "kubectl get weir -A"); err != nil {
		return err
	}
	d.holds("all resources are Ready")
	if d.chaos != nil {
		d.chaos.start(ctx)
	}
	return nil
}

// platformEdits are sed's arguments that make the sample speak of this Kafka.
func (d *demo) platformEdits() string {
	edits := fmt.Sprintf("s/kafka-bootstrap.kafka.svc:9092/%s/", d.parts.kafka.Bootstrap[0])
	if d.users["weir"].Mechanism == env.ScramSHA256 {
		edits += "; s/ScramSHA512/ScramSHA256/"
	}
	return "'" + edits + "'"
}

// allReady waits until every resource is Ready.
func (d *demo) allReady(ctx context.Context) error {
	for _, what := range []string{
		"kafkacluster --all",
		"-n shop topic,outboxrelay --all",
		"-n finance consumergroup,deadletterpolicy --all",
	} {
		if err := d.wait(ctx, "--for=condition=Ready "+what); err != nil {
			return err
		}
	}
	return nil
}

// wait is kubectl wait, with the story's patience.
func (d *demo) wait(ctx context.Context, arguments string) error {
	return d.run(ctx, fmt.Sprintf("kubectl wait --timeout=%.0fs %s", d.patience.Seconds(), arguments))
}

// get reads one field of a resource, empty where it is not there.
func (d *demo) get(ctx context.Context, resource, path string) (string, error) {
	value, err := d.ask(ctx, "kubectl get "+resource+" -o jsonpath='{"+path+"}'")
	return strings.TrimSpace(value), err
}
