// Package docs tests what the documentation tells people to apply and to run.
package docs

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

// root is the checkout, seen from here.
const root = "../.."

// TestYAML applies every YAML block of the documentation to a real API server.
func TestYAML(t *testing.T) {
	t.Parallel()
	cluster := kube.Shared(t)
	namespaces := filepath.Join(t.TempDir(), "namespaces.yaml")
	if err := os.WriteFile(namespaces, []byte(`
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: finance}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", namespaces); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range pages(t) {
		for i, text := range blocks(t, page, "yaml") {
			count++
			file := filepath.Join(t.TempDir(), "block.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := cluster.Kubectl(t.Context(), "create", "--dry-run=server", "--validate=strict", "-f", file); err != nil {
				t.Errorf("%s, YAML block %d: %v", page, i+1, err)
			}
		}
	}
	if count < 5 {
		t.Errorf("found %d YAML blocks, want at least one a kind", count)
	}
}

// TestReadmeCommands runs the commands of the README: the targets of make are
// CI's stages, and the rest runs here, in order, on a cluster of its own.
func TestReadmeCommands(t *testing.T) {
	cluster, err := kube.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	ci, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	commands := blocks(t, "README.md", "sh")
	t.Chdir(root)
	for _, block := range commands {
		for line := range strings.Lines(block) {
			words := strings.Fields(line)
			switch {
			case len(words) == 2 && words[0] == "make":
				if !slices.Contains(strings.Fields(string(ci)), words[1]) {
					t.Errorf("README tells to run %q, which .ci/run does not", line)
				}
			case len(words) > 1 && words[0] == "kubectl":
				if out, err := cluster.Kubectl(t.Context(), words[1:]...); err != nil {
					t.Errorf("README: %v", err)
				} else {
					t.Logf("$ %s%s", line, out)
				}
			default:
				t.Errorf("README tells to run %q, and no test knows how", line)
			}
		}
	}
}

// TestLinks finds links of the documentation to files that do not exist.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			target, _, _ = strings.Cut(target, "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), target)); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			}
		}
	}
}

// pages are the Markdown files of the documentation, from the root.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range found {
		all = append(all, filepath.Join("docs", filepath.Base(path)))
	}
	return all
}

// blocks are the fenced code blocks of a page in a language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []string
	var block *strings.Builder
	for lines := bufio.NewScanner(file); lines.Scan(); {
		switch line := lines.Text(); {
		case block == nil && line == "```"+language:
			block = &strings.Builder{}
		case block != nil && line == "```":
			all = append(all, block.String())
			block = nil
		case block != nil:
			block.WriteString(line + "\n")
		}
	}
	return all
}
