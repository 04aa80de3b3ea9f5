package v1alpha1_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// walk visits a schema and all below it. A path is like "spec.access[].groups[]"
// and "spec.config{}" for the values of a map.
func walk(schema *apiextensionsv1.JSONSchemaProps, path string, visit func(path string, schema *apiextensionsv1.JSONSchemaProps)) {
	visit(path, schema)
	for name, property := range schema.Properties {
		walk(&property, strings.TrimPrefix(path+"."+name, "."), visit)
	}
	if schema.Items != nil {
		walk(schema.Items.Schema, path+"[]", visit)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		walk(schema.AdditionalProperties.Schema, path+"{}", visit)
	}
}

// inKubernetesType reports whether a path is inside a type of Kubernetes, whose
// bounds and documentation are not ours.
func inKubernetesType(path string) bool {
	for _, field := range []string{".selector.", ".tolerations[]", ".affinity.", ".resources.", ".conditions[]"} {
		if strings.Contains(path, field) {
			return true
		}
	}
	return path == "apiVersion" || path == "kind" || path == "metadata"
}

func TestEveryFieldIsBounded(t *testing.T) {
	t.Parallel()
	// Bounds on the values of a map are in a rule of the map.
	mapValues := []string{"config{}", "labels{}", "annotations{}", "nodeSelector{}"}
	for kind, crd := range crds(t) {
		walk(schemaOf(crd), "", func(path string, schema *apiextensionsv1.JSONSchemaProps) {
			if inKubernetesType(path) {
				return
			}
			switch {
			case schema.Type == "string" && schema.Format == "date-time", schema.Type == "string" && len(schema.Enum) > 0:
			case schema.Type == "string" && schema.MaxLength == nil:
				if !slices.ContainsFunc(mapValues, func(suffix string) bool { return strings.HasSuffix(path, suffix) }) {
					t.Errorf("%s %s: a string without maxLength", kind, path)
				}
			case schema.Type == "array" && schema.MaxItems == nil:
				t.Errorf("%s %s: a list without maxItems", kind, path)
			case schema.Type == "object" && schema.AdditionalProperties != nil && schema.MaxProperties == nil:
				t.Errorf("%s %s: a map without maxProperties", kind, path)
			case schema.Type == "integer" && strings.HasPrefix(path, "spec") && schema.Minimum == nil:
				t.Errorf("%s %s: a number without minimum", kind, path)
			}
		})
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	for kind, crd := range crds(t) {
		walk(schemaOf(crd), "", func(path string, schema *apiextensionsv1.JSONSchemaProps) {
			if inKubernetesType(path) || strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}") {
				return
			}
			if !strings.HasSuffix(strings.TrimSpace(schema.Description), ".") {
				t.Errorf("%s %s: the description %q is no sentence for kubectl explain", kind, path, schema.Description)
			}
			for line := range strings.Lines(schema.Description) {
				// kubectl indents by 4, and would break a longer line of the source in its middle.
				if utf8.RuneCountInString(strings.TrimSpace(line)) > 76 {
					t.Errorf("%s %s: kubectl explain breaks a line of more than 76 characters: %q", kind, path, line)
				}
			}
		})
	}
}

// A fresh object must not look finished to whoever compares generations.
func TestFreshStatusIsUnobserved(t *testing.T) {
	t.Parallel()
	for kind, crd := range crds(t) {
		status := schemaOf(crd).Properties["status"]
		if status.Default == nil || string(status.Default.Raw) != `{"observedGeneration":-1}` {
			t.Errorf("%s: the default of status is %v, want an observedGeneration of -1", kind, status.Default)
		}
	}
}

// kubectl apply without --server-side keeps the whole object in an annotation.
func TestCRDsFitAnAnnotation(t *testing.T) {
	t.Parallel()
	const limit = 262144
	for kind, crd := range crds(t) {
		text, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > limit/2 {
			t.Errorf("%s: its CRD has %d bytes, more than half of the %d that annotations may have", kind, len(text), limit)
		}
	}
}
