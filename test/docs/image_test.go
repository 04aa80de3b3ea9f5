package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the Dockerfile copies is all that the programs are built from.
func TestImageHasItsSources(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
			continue
		}
		for _, name := range words[1 : len(words)-1] {
			if err := copyInto(source, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-mod=readonly", "./cmd/manager", "./cmd/relay")
	list.Dir = source
	if output, err := list.CombinedOutput(); err != nil {
		t.Errorf("the image cannot be built: %v\n%s", err, output)
	}
}

// copyInto copies a file or folder of the checkout.
func copyInto(dir, name string) error {
	from := filepath.Join(root, name)
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(filepath.Join(dir, name), os.DirFS(from))
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), text, 0o600)
}

// The versions that docs/install.md names are those that the tests run on.
func TestVersions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	for product, pin := range map[string]struct{ file, before, after string }{
		"Kubernetes":   {"test/env/kube/assets.go", `kubernetesVersion = "`, `"`},
		"Apache Kafka": {"test/env/kafka/pom.xml", "<artifactId>kafka_2.13</artifactId>\n      <version>", "<"},
		"PostgreSQL":   {"test/env/postgres.go", `postgresVersion = "`, `"`},
	} {
		text, err := os.ReadFile(filepath.Join(root, pin.file))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), pin.before)
		version, _, _ := strings.Cut(rest, pin.after)
		if row := "| " + product + " | " + version + " |"; !found || !strings.Contains(string(page), row) {
			t.Errorf("docs/install.md has no row %q, which %s pins", row, pin.file)
		}
	}
}
