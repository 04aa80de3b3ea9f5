package outboxrelay

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

// component is the subcommand of the relay binary.
const component = "outbox"

func workerName(relay *v1alpha1.OutboxRelay) string { return "weir-outbox-" + relay.Name }

// render renders the worker of an OutboxRelay. Topics are the names in
// Kafka of the routes' Topics, in their order; keys are those of the
// credentials Secret; authority is the brokers' CA, empty for the system's.
func render(relay *v1alpha1.OutboxRelay, cluster *v1alpha1.KafkaCluster, topics, keys []string, authority, image string) (worker.Spec, error) {
	columns := relay.Spec.Outbox.Columns
	outbox := config.Outbox{
		Name:     relay.Namespace + "/" + relay.Name,
		Kafka:    worker.KafkaConfig(cluster, authority != "", keys),
		Database: config.Database{Engine: string(relay.Spec.Database.Engine), URIFile: worker.DatabaseURI},
		Table:    relay.Spec.Outbox.Table,
		Columns: config.Columns{
			ID:            columns.ID,
			AggregateType: columns.AggregateType,
			AggregateID:   columns.AggregateID,
			Type:          columns.Type,
			Payload:       columns.Payload,
			Sequence:      columns.Sequence,
			CreatedAt:     columns.CreatedAt,
			Headers:       columns.Headers,
			Status:        columns.Status,
			PublishedAt:   columns.PublishedAt,
		},
		Polling: config.Polling{
			MaxInterval: config.Duration(relay.Spec.Capture.Polling.MaxInterval.Duration),
			BatchSize:   int(relay.Spec.Capture.Polling.BatchSize),
		},
		AfterPublish: string(relay.Spec.AfterPublish),
		OnPoison:     config.Block,
	}
	outbox.Kafka.Principal = relay.Spec.Kafka.Principal
	for i, route := range relay.Spec.Routes {
		outbox.Routes = append(outbox.Routes, config.Route{AggregateType: route.AggregateType, Topic: topics[i]})
	}
	text, err := json.MarshalIndent(outbox, "", "  ")
	if err != nil {
		return worker.Spec{}, fmt.Errorf("rendering %s: %w", config.OutboxFile, err)
	}
	files := map[string]string{config.OutboxFile: string(text)}
	if authority != "" {
		files[worker.AuthorityPEM] = authority
	}
	secret := relay.Spec.Database.ConnectionSecretRef
	secrets := []corev1.VolumeProjection{worker.SecretFiles(secret.Name, map[string]string{secret.Key: worker.DatabaseURI})}
	if len(keys) > 0 {
		secrets = append(secrets, worker.KafkaFiles(relay.Spec.Kafka.CredentialsSecretRef.Name, keys))
	}
	return worker.Spec{
		Owner:      metav1.NewControllerRef(relay, v1alpha1.GroupVersion.WithKind("OutboxRelay")),
		Name:       workerName(relay),
		Generation: relay.Generation,
		Namespace:  relay.Namespace,
		Component:  component,
		Image:      image,
		Replicas:   ptr.Deref(relay.Spec.Replicas, 1),
		Resources:  relay.Spec.Resources,
		Template:   relay.Spec.PodTemplate,
		Files:      files,
		Secrets:    secrets,
	}, nil
}
