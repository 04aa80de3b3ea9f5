package v1alpha1_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/weir-dev/weir/test/env"
)

// A template that has nothing left to say about a map writes {}. Whatever may
// be created empty can be emptied by server-side apply, and is then the same.
func TestApplyEmpties(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	apply := metav1.ApplyOptions{FieldManager: "template", Force: true}
	dryApply := metav1.ApplyOptions{FieldManager: "template", Force: true, DryRun: []string{metav1.DryRunAll}}
	for kind := range server.crds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("testdata/accepted", strings.ToLower(kind)+"-full.yaml")
			full := decode(t, file, read(t, file))[0]
			full.SetName(env.Unique(full.GetName()))
			if _, err := server.resource(full).Apply(t.Context(), full.GetName(), full, apply); err != nil {
				t.Fatal(err)
			}
			for _, path := range containers("spec", full.Object["spec"])[1:] { // all but spec itself
				emptied := full.DeepCopy()
				empty(t, emptied, path)
				fresh := emptied.DeepCopy()
				fresh.SetName(env.Unique(full.GetName()))
				want, err := server.resource(fresh).Create(t.Context(), fresh, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					continue // it may not be empty at all
				}
				got, err := server.resource(full).Apply(t.Context(), full.GetName(), emptied, dryApply)
				if err != nil {
					t.Errorf("emptying %s: %v", path, err)
					continue
				}
				withoutEmptyList(want, path)
				withoutEmptyList(got, path)
				if diff := cmp.Diff(want.Object["spec"], got.Object["spec"]); diff != "" {
					t.Errorf("emptying %s leaves something else than creating it empty (-created +applied):\n%s", path, diff)
				}
			}
		})
	}
}

// containers are the paths of all objects, maps and lists in value that hold something.
func containers(path string, value any) []string {
	var all []string
	switch value := value.(type) {
	case []any:
		all = append(all, path)
	case map[string]any:
		all = append(all, path)
		for name, part := range value {
			if !strings.Contains(name, ".") { // a key of a map
				all = append(all, containers(path+"."+name, part)...)
			}
		}
	}
	return all
}

// empty empties the object, map or list at path.
func empty(tb testing.TB, object *unstructured.Unstructured, path string) {
	tb.Helper()
	fields := strings.Split(path, ".")
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, fields...)
	if err != nil || !found {
		tb.Fatalf("nothing at %s: %v", path, err)
	}
	var nothing any = map[string]any{}
	if _, isList := value.([]any); isList {
		nothing = []any{}
	}
	if err := unstructured.SetNestedField(object.Object, nothing, fields...); err != nil {
		tb.Fatal(err)
	}
}

// withoutEmptyList drops the list at path if it is empty, which is the same.
func withoutEmptyList(object *unstructured.Unstructured, path string) {
	fields := strings.Split(path, ".")
	if list, found, err := unstructured.NestedSlice(object.Object, fields...); err == nil && found && len(list) == 0 {
		unstructured.RemoveNestedField(object.Object, fields...)
	}
}
