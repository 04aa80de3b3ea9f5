// Package argocd tests what Argo CD and kstatus make of Weir's resources.
package argocd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	"github.com/weir-dev/weir/test/env/operator"
)

// health is what Argo CD says of a resource.
type health struct{ Status, Message string }

// argoHealth does what Argo CD does: it knows itself that an object is being
// deleted, and runs the script with few libraries.
func argoHealth(t *testing.T, script string, object *unstructured.Unstructured) health {
	t.Helper()
	if object.GetDeletionTimestamp() != nil {
		return health{"Progressing", "Pending deletion"}
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	value, err := luajson.Decode(state, text)
	if err != nil {
		t.Fatal(err)
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		t.Fatalf("the script failed: %v", err)
	}
	answer, err := luajson.Encode(state.Get(-1))
	if err != nil {
		t.Fatal(err)
	}
	var got health
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatalf("the script returned %s: %v", answer, err)
	}
	return got
}

// Argo CD and whoever asks kstatus (Flux, kubectl, Cluster API) agree about
// objects that a manager has looked at.
func TestHealth(t *testing.T) {
	t.Parallel()
	script := string(read(t, "config/argocd/health.lua"))
	for _, situation := range situations(t) {
		t.Run(situation.name, func(t *testing.T) {
			got := argoHealth(t, script, situation.object)
			if got.Status != situation.health || !strings.Contains(got.Message, situation.message) {
				t.Errorf("Argo CD says %+v, want %s: %s", got, situation.health, situation.message)
			}
			result, err := status.Compute(situation.object)
			if err != nil || result.Status != situation.kstatus {
				t.Errorf("kstatus says %+v, %v; want %s", result, err, situation.kstatus)
			}
			if t.Failed() {
				t.Log(situation.object.Object["status"])
			}
		})
	}
}

// Argo CD must know every kind, and the page must show the script that ships.
func TestEveryKindHasTheScript(t *testing.T) {
	t.Parallel()
	var kustomization struct {
		ConfigMapGenerator []struct{ Files []string }
	}
	if err := yaml.Unmarshal(read(t, "config/argocd/kustomization.yaml"), &kustomization); err != nil {
		t.Fatal(err)
	}
	crds, err := filepath.Glob(filepath.Join(operator.Root(t), "config", "crd", "weir.dev_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, file := range crds {
		var crd struct {
			Spec struct{ Names struct{ Kind string } }
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(text, &crd)
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, "resource.customizations.health.weir.dev_"+crd.Spec.Names.Kind+"=health.lua")
	}
	if diff := cmp.Diff(want, kustomization.ConfigMapGenerator[0].Files); diff != "" {
		t.Errorf("keys of argocd-cm (-want +got):\n%s", diff)
	}
	if page := string(read(t, "docs/argocd.md")); !strings.Contains(page, "```lua\n"+string(read(t, "config/argocd/health.lua"))+"```\n") {
		t.Error("docs/argocd.md does not show config/argocd/health.lua as it is")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(operator.Root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
