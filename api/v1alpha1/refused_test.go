package v1alpha1_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

var update = flag.Bool("update", false, "write what the API server says into testdata")

// Each file under testdata/refused is a wrong manifest, or a right one followed
// by a wrong change of it. It begins with all that the API server has against it.
const want = "# want: "

func TestRefused(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for _, file := range refusedFiles(t) {
		t.Run(caseName(file), func(t *testing.T) {
			t.Parallel()
			content := read(t, file)
			objects := decode(t, file, content)
			var err error
			if len(objects) == 1 {
				err = server.try(t, objects[0])
			} else {
				_, err = server.update(t, server.create(t, objects[0]), objects[1])
			}
			if err == nil {
				t.Fatal("accepted")
			}
			got := complaints(t, err)
			if *update {
				writeWants(t, file, content, got)
				return
			}
			if diff := cmp.Diff(wants(content), got); diff != "" {
				t.Errorf("the API server complains of something else (-want +got):\n%s", diff)
			}
		})
	}
}

// A rule without a case is a rule whose message nobody has read.
func TestEveryRuleHasACase(t *testing.T) {
	t.Parallel()
	said := map[string]bool{} // "Topic spec.access[].groups: message"
	for _, file := range refusedFiles(t) {
		content := read(t, file)
		kind := decode(t, file, content)[0].GetKind()
		for _, line := range wants(content) {
			field, message, _ := strings.Cut(line, ": ")
			_, message, _ = strings.Cut(message, ": ") // after "Invalid value: "
			said[kind+" "+index.ReplaceAllString(field, "[]")+": "+message] = true
		}
	}
	for kind, crd := range crds(t) {
		walk(schemaOf(crd), "", func(path string, schema *apiextensionsv1.JSONSchemaProps) {
			for _, rule := range schema.XValidations {
				if !hasCase(said, kind+" "+strings.TrimPrefix(path+rule.FieldPath, ".")+": ", rule.Message) {
					t.Errorf("%s: no case in testdata/refused breaks the rule of %s: %q", kind, path, rule.Message)
				}
			}
		})
	}
}

// hasCase finds a message, which the API server begins with the offending
// value where that is a scalar.
func hasCase(said map[string]bool, field, message string) bool {
	for line := range said {
		if strings.HasPrefix(line, field) && strings.HasSuffix(line, message) {
			return true
		}
	}
	return false
}

// index is what a field's path has where a schema's path has [].
var index = regexp.MustCompile(`\[\d+\]`)

func refusedFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/refused/*/*.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	if len(files) == 0 {
		tb.Fatal("testdata/refused is empty")
	}
	return files
}

// caseName is "topic/replicas-change" for testdata/refused/topic/replicas-change.yaml.
func caseName(file string) string {
	return filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".yaml")
}

func wants(content []byte) []string {
	var lines []string
	for line := range strings.Lines(string(content)) {
		if text, ok := strings.CutPrefix(line, want); ok {
			lines = append(lines, strings.TrimSuffix(text, "\n"))
		}
	}
	return lines
}

func writeWants(tb testing.TB, file string, content []byte, lines []string) {
	tb.Helper()
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(want + line + "\n")
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte(want)) {
			out.Write(line)
		}
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}
