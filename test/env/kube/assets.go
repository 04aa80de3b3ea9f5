package kube

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/weir-dev/weir/test/env/internal/store"
)

const (
	// kubernetesVersion is what hack/kube builds.
	kubernetesVersion = "1.36.3"
	// oldestVersion is the oldest that is taken from setup-envtest's store.
	oldestVersion = "1.34.0"
	// setupEnvtest is the program that fetches what the Kubernetes project built.
	setupEnvtest = "sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1"
)

var binaries = []string{"kube-apiserver", "etcd", "kubectl"}

// assets is a directory with kube-apiserver, etcd and kubectl. The first of
// these that has them: KUBEBUILDER_ASSETS, setup-envtest's store, what
// setup-envtest fetches into it, what hack/kube builds into it.
func assets(ctx context.Context) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("KUBEBUILDER_ASSETS=%s: want %s there", dir, strings.Join(binaries, ", "))
		}
		return dir, nil
	}
	root, err := envtest.SetupEnvtestDefaultBinaryAssetsDirectory()
	if err != nil {
		return "", fmt.Errorf("find setup-envtest's store: %w", err)
	}
	if dir := newest(root); dir != "" {
		return dir, nil
	}
	if dir := fetch(ctx); dir != "" {
		return dir, nil
	}
	dir := filepath.Join(root, kubernetesVersion+platform())
	what := "building Kubernetes " + kubernetesVersion + " (minutes, once on this machine)"
	if err := store.Fill(ctx, dir, what, build); err != nil {
		return "", err
	}
	return dir, nil
}

// platform is how the names in setup-envtest's store end.
func platform() string { return "-" + runtime.GOOS + "-" + runtime.GOARCH }

// newest is the newest usable version in setup-envtest's store, or empty.
func newest(root string) string {
	entries, err := os.ReadDir(root)
	if err != nil { // no store yet
		return ""
	}
	best := version.MustParseSemantic(oldestVersion)
	dir := ""
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), platform())
		if !ok {
			continue
		}
		candidate, err := version.ParseSemantic(name)
		if err != nil || candidate.LessThan(best) || !complete(filepath.Join(root, entry.Name())) {
			continue
		}
		best, dir = candidate, filepath.Join(root, entry.Name())
	}
	return dir
}

func complete(dir string) bool {
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// fetch is the directory that setup-envtest made, or empty where it could not:
// it needs GitHub, which not every machine reaches.
func fetch(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	minor := kubernetesVersion[:strings.LastIndex(kubernetesVersion, ".")]
	done := store.Progress("fetching Kubernetes " + minor + " by setup-envtest")
	output, err := exec.CommandContext(ctx, "go", "run", setupEnvtest, "use", minor+".x", "-p", "path").Output()
	if dir := strings.TrimSpace(string(output)); err == nil && complete(dir) {
		done()
		return dir
	}
	fmt.Fprintln(os.Stderr, "env: setup-envtest could not fetch it")
	return ""
}

// build builds the binaries of the module hack/kube into dir.
func build(ctx context.Context, dir string) error {
	module, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	base := "k8s.io/component-base/version."
	major, rest, _ := strings.Cut(kubernetesVersion, ".")
	minor, _, _ := strings.Cut(rest, ".")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "-trimpath", "-buildvcs=false", "-ldflags", strings.Join([]string{
		"-s", "-w",
		"-X", base + "gitVersion=v" + kubernetesVersion,
		"-X", base + "gitMajor=" + major,
		"-X", base + "gitMinor=" + minor,
		"-X", base + "gitTreeState=clean",
	}, " "),
		"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl", "go.etcd.io/etcd/server/v3")
	cmd.Dir = filepath.Join(module, "hack", "kube")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return os.Rename(filepath.Join(dir, "server"), filepath.Join(dir, "etcd"))
}

// moduleRoot is the directory of Weir's checkout.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/weir-dev/weir").Output()
	if err != nil {
		return "", fmt.Errorf("find Weir's checkout from the working directory: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}
