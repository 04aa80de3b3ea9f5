package pool

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/internal/controller/halt"
	"github.com/weir-dev/weir/internal/kafka"
)

// secretRetry is when to look again for a Secret that is missing: Secrets are
// not watched, so that the manager needs no right to list them.
const secretRetry = 10 * time.Second

// Secret reads keys of a Secret, past the cache. A Secret or a key that is
// missing, or a value that is empty, is a halt that names the field, and the
// command that makes it; it waits, since somebody may be about to create it.
func (c *Clusters) Secret(ctx context.Context, namespace, name, field string, keys ...string) (map[string]string, error) {
	var found corev1.Secret
	err := c.secrets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, halt.Soon(secretRetry, halt.Wait(v1alpha1.ReasonSecretNotFound,
			"%s: Secret %s/%s does not exist; create it: kubectl -n %s create secret generic %s%s",
			field, namespace, name, namespace, name, literals(keys)))
	}
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(keys))
	for _, key := range keys {
		value := kafka.SecretText(found.Data[key])
		if value == "" {
			return nil, halt.Soon(secretRetry, halt.Stall(v1alpha1.ReasonSecretInvalid,
				"%s: Secret %s/%s has no value under the key %q", field, namespace, name, key))
		}
		values[key] = value
	}
	return values, nil
}

// CheckSecret is Secret for one that only a worker reads. Where the manager may not
// look into the namespace, it leaves that to the worker.
func (c *Clusters) CheckSecret(ctx context.Context, namespace, name, field string, keys ...string) error {
	_, err := c.Secret(ctx, namespace, name, field, keys...)
	if apierrors.IsForbidden(err) && namespace != c.Namespace {
		return nil
	}
	return err
}

func literals(keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		b.WriteString(" --from-literal=" + key + "=…")
	}
	return b.String()
}
