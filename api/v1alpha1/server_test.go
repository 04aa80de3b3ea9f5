package v1alpha1_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/api/v1alpha1"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

// crds are the generated CRDs by kind.
func crds(tb testing.TB) map[string]*apiextensionsv1.CustomResourceDefinition {
	tb.Helper()
	files, err := filepath.Glob("../../config/crd/weir.dev_*.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	byKind := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(read(tb, file), &crd); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		byKind[crd.Spec.Names.Kind] = &crd
	}
	if len(byKind) != 5 {
		tb.Fatalf("found %d CRDs, want 5", len(byKind))
	}
	return byKind
}

func schemaOf(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// server speaks to a real API server as strictly as kubectl does.
type server struct {
	crds      map[string]*apiextensionsv1.CustomResourceDefinition
	client    dynamic.Interface
	namespace string
}

func newServer(tb testing.TB) server {
	tb.Helper()
	cluster := kube.Shared(tb)
	config := rest.CopyConfig(cluster.Config)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return server{crds: crds(tb), client: client, namespace: cluster.Namespace(tb)}
}

func (s server) resource(object *unstructured.Unstructured) dynamic.ResourceInterface {
	crd := s.crds[object.GetKind()]
	resource := s.client.Resource(v1alpha1.GroupVersion.WithResource(crd.Spec.Names.Plural))
	if crd.Spec.Scope == apiextensionsv1.ClusterScoped {
		return resource
	}
	return resource.Namespace(s.namespace)
}

// try asks the server what it thinks of creating the object, and creates nothing.
func (s server) try(tb testing.TB, object *unstructured.Unstructured) error {
	tb.Helper()
	_, err := s.resource(object).Create(tb.Context(), object, metav1.CreateOptions{
		FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
	})
	return err
}

// create creates the object under a name of its own.
func (s server) create(tb testing.TB, object *unstructured.Unstructured) *unstructured.Unstructured {
	tb.Helper()
	object = object.DeepCopy()
	object.SetName(env.Unique(object.GetName()))
	created, err := s.resource(object).Create(tb.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		tb.Fatalf("create %s: %v", object.GetKind(), err)
	}
	return created
}

// update gives the object that exists another spec.
func (s server) update(tb testing.TB, existing, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	tb.Helper()
	object = object.DeepCopy()
	object.SetName(existing.GetName())
	object.SetResourceVersion(existing.GetResourceVersion())
	return s.resource(object).Update(tb.Context(), object, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
}

// complaints are what the API server has against an object, one "field: message" each, sorted.
func complaints(tb testing.TB, err error) []string {
	tb.Helper()
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		tb.Fatalf("the API server did not answer: %v", err)
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return []string{strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	var all []string
	for _, cause := range details.Causes {
		// Said of every object that breaks another rule too.
		if strings.Contains(cause.Message, "some validation rules were not checked") {
			continue
		}
		all = append(all, cause.Field+": "+strings.ReplaceAll(cause.Message, "\n", " "))
	}
	slices.Sort(all)
	return all
}

// decode reads the documents of a YAML file.
func decode(tb testing.TB, file string, content []byte) []*unstructured.Unstructured {
	tb.Helper()
	var objects []*unstructured.Unstructured
	for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
	return objects
}

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}
