package kafkacluster

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/estate"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/controller/worker"
	"github.com/weir-dev/weir/internal/relay/config"
)

const retryComponent = "retry"

// retryGroupLabel, on the Deployment of a retry worker, is its consumer group.
const retryGroupLabel = "weir.dev/consumer-group"

// RetryWorkerName names the Deployment of the retry worker of a KafkaCluster.
func RetryWorkerName(cluster string) string { return "weir-retry-" + cluster }

// ClusterOfWorker is the name of the KafkaCluster whose retry worker a Deployment
// or a ConfigMap belongs to.
func ClusterOfWorker(obj client.Object) (string, bool) {
	labels := obj.GetLabels()
	name, ok := strings.CutPrefix(labels["app.kubernetes.io/instance"], RetryWorkerName(""))
	return name, ok && labels["app.kubernetes.io/component"] == retryComponent
}

// retrySecret is the Secret that the worker authenticates with; empty on a
// cluster without authentication. The operator's own is never given to it.
func retrySecret(cluster *v1alpha1.KafkaCluster, namespace string) (string, error) {
	switch spec := cluster.Spec; {
	case spec.RetryWorker != nil:
		return spec.RetryWorker.Kafka.CredentialsSecretRef.Name, nil
	case spec.SASL == nil && (spec.TLS == nil || spec.TLS.ClientSecretRef == nil):
		return "", nil
	default:
		return "", halt.Wait(v1alpha1.ReasonIdentityMissing,
			"failed records wait, since no worker moves them: set spec.retryWorker.kafka to a principal of the worker's own and its Secret in namespace %s; the operator's credentials are not given to workers", namespace)
	}
}

// renderRetryWorker renders the worker of a cluster, whose Kafka cluster ID that
// is; the other arguments are as in render, namespace is the operator's. The
// worker outlives its KafkaCluster, which may come back under another name.
func renderRetryWorker(cluster *v1alpha1.KafkaCluster, id string, groups []config.RetryGroup, secret string, keys []string, authority, namespace, image string) (worker.Spec, error) {
	text, err := json.MarshalIndent(config.Retry{
		Name:          cluster.Name,
		Kafka:         worker.KafkaConfig(cluster, authority != "", keys),
		ConsumerGroup: estate.RetryGroup(id),
	}, "", "  ")
	if err != nil {
		return worker.Spec{}, fmt.Errorf("rendering %s: %w", config.RetryFile, err)
	}
	spec := cluster.Spec.RetryWorker
	if spec == nil {
		spec = &v1alpha1.RetryWorkerSpec{}
	}
	rendered := worker.Spec{
		Name:       RetryWorkerName(cluster.Name),
		Namespace:  namespace,
		Component:  retryComponent,
		Image:      image,
		Replicas:   ptr.Deref(spec.Replicas, 1),
		Resources:  spec.Resources,
		Template:   spec.PodTemplate,
		Generation: cluster.Generation,
		Files:      map[string]string{config.RetryFile: string(text)},
		Followed:   true,
		Labels:     map[string]string{retryGroupLabel: estate.RetryGroup(id)},
	}
	for _, group := range groups {
		rendered.Files[config.GroupFile(group.Group)] = estate.ToldText(group)
	}
	if authority != "" {
		rendered.Files[worker.AuthorityPEM] = authority
	}
	if len(keys) > 0 {
		rendered.Secrets = []corev1.VolumeProjection{worker.KafkaFiles(secret, keys)}
	}
	return rendered, nil
}
