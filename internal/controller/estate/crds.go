package estate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/api/v1alpha1"
)

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=kafkaclusters.weir.dev;topics.weir.dev;outboxrelays.weir.dev;consumergroups.weir.dev,verbs=get
// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=kube-system,verbs=get

var (
	namespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	crdKind       = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
)

// crds tells whether the kinds of Weir stand: where a CustomResourceDefinition
// goes, all its objects go with it, and nobody asked for what they declare to be
// taken back. Safe for concurrent use.
type crds struct {
	reader client.Reader // past the cache

	mu     sync.Mutex
	looked map[string]*looked
}

// A look waits lookPause for others that ask, and is made lookEvery after the last
// one at the earliest: a definition is large, and where a namespace goes all its
// Topics ask at once.
const (
	lookPause = 20 * time.Millisecond
	lookEvery = 100 * time.Millisecond
)

// looked is the last look at a CustomResourceDefinition.
type looked struct {
	mu     sync.Mutex
	began  time.Time
	stands bool
}

// stand looks now; whoever asks while a look is awaited shares the next one.
func (c *crds) stand(ctx context.Context, kind string) (bool, error) {
	asked := time.Now()
	c.mu.Lock()
	one := c.looked[kind]
	if one == nil {
		one = &looked{}
		c.looked[kind] = one
	}
	c.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.began.After(asked) {
		return one.stands, nil
	}
	time.Sleep(max(lookPause, lookEvery-time.Since(one.began))) // whoever asks meanwhile shares this look
	began := time.Now()
	var found metav1.PartialObjectMetadata
	found.SetGroupVersionKind(crdKind)
	name := strings.ToLower(kind) + "s." + v1alpha1.GroupVersion.Group
	err := c.reader.Get(ctx, client.ObjectKey{Name: name}, &found)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading CustomResourceDefinition %s: %w", name, err)
	}
	one.began, one.stands = began, err == nil && found.DeletionTimestamp.IsZero()
	return one.stands, nil
}

// Stands says whether the CustomResourceDefinition of a kind is there and stays.
func (e *Estates) Stands(ctx context.Context, kind string) (bool, error) {
	return e.crds.stand(ctx, kind)
}
