package v1alpha1_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// TestEveryBoundIsEnforced breaks each bound of each schema in turn, in a
// manifest that sets every field, and looks whether the API server names the field.
func TestEveryBoundIsEnforced(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for kind, crd := range server.crds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("testdata/accepted", strings.ToLower(kind)+"-full.yaml")
			full := decode(t, file, read(t, file))[0]
			if err := server.try(t, full); err != nil {
				t.Fatal(err)
			}
			spec := schemaOf(crd).Properties["spec"]
			violations := violate(t, "spec", &spec, full.Object["spec"])
			broken := map[string]bool{}
			for _, violation := range violations {
				broken[index.ReplaceAllString(violation.field, "[]")] = true
			}
			walk(&spec, "spec", func(path string, _ *apiextensionsv1.JSONSchemaProps) {
				if !broken[path] && !inKubernetesType(path) && !strings.HasSuffix(path, "{}") {
					t.Errorf("%s does not set %s, so its bounds are not tried", file, path)
				}
			})
			for _, violation := range violations {
				object := full.DeepCopy()
				object.Object["spec"] = violation.spec
				named := slices.ContainsFunc(complaints(t, server.try(t, object)), func(complaint string) bool {
					return strings.HasPrefix(complaint, violation.field+": ")
				})
				if !named {
					t.Errorf("%s: no complaint about %s", violation.what, violation.field)
				}
			}
		})
	}
}

// violation is a value for spec that is wrong in one field.
type violation struct {
	what  string // "more than the maximum"
	field string // where the API server must see it
	spec  any
}

// violate returns every way to break a bound of schema or below it in value,
// which is right and is at path.
func violate(tb testing.TB, path string, schema *apiextensionsv1.JSONSchemaProps, value any) []violation {
	tb.Helper()
	var all []violation
	wrong := func(what string, value any) {
		all = append(all, violation{what, path, value})
	}
	// within puts the violations of a part into copies of the whole.
	within := func(parts []violation, put func(part any) any) {
		for _, part := range parts {
			all = append(all, violation{part.what, part.field, put(part.spec)})
		}
	}

	switch schema.Type {
	case "string":
		wrong("a number for a string", int64(1))
		if schema.MaxLength != nil {
			wrong("longer than maxLength", strings.Repeat("a", int(*schema.MaxLength)+1))
		}
		if schema.MinLength != nil {
			wrong("shorter than minLength", "")
		}
		if len(schema.Enum) > 0 {
			wrong("not of the enum", "Nonsense")
		}
	case "boolean":
		wrong("a string for a boolean", "yes")
	case "integer":
		wrong("a string for a number", "many")
		if schema.Minimum != nil {
			wrong("less than the minimum", int64(*schema.Minimum)-1)
		}
		if schema.Maximum != nil {
			wrong("more than the maximum", int64(*schema.Maximum)+1)
		}
	case "array":
		wrong("a string for a list", "some")
		items := value.([]any)
		if schema.MinItems != nil {
			wrong("fewer than minItems", []any{})
		}
		if schema.MaxItems != nil {
			wrong("more than maxItems", slices.Repeat(items[:1], int(*schema.MaxItems)+1))
		}
		for i, item := range items {
			if inKubernetesType(path + "[]") {
				break
			}
			within(violate(tb, fmt.Sprintf("%s[%d]", path, i), schema.Items.Schema, item), func(part any) any {
				changed := slices.Clone(items)
				changed[i] = part
				return changed
			})
		}
	case "object":
		wrong("a string for an object", "something")
		fields := value.(map[string]any)
		if schema.MaxProperties != nil {
			many := map[string]any{}
			for i := range *schema.MaxProperties + 1 {
				many["key"+strconv.FormatInt(i, 10)] = "value"
			}
			wrong("more than maxProperties", many)
		}
		for _, name := range schema.Required {
			without := maps.Clone(fields)
			delete(without, name)
			all = append(all, violation{"without a required field", path + "." + name, without})
		}
		for name, property := range schema.Properties {
			at := path + "." + name
			field, ok := fields[name]
			if !ok || inKubernetesType(at) {
				continue
			}
			within(violate(tb, at, &property, field), func(part any) any {
				changed := maps.Clone(fields)
				changed[name] = part
				return changed
			})
		}
	}
	return all
}
