package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// shell runs the commands that the story shows, exactly as it shows them.
type shell struct {
	teller *teller
	env    []string // beside this process's own
}

func newShell(t *teller, kubeconfig, kubectl string) *shell {
	return &shell{teller: t, env: []string{
		"PATH=" + filepath.Dir(kubectl) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"KUBECONFIG=" + kubeconfig,
		"KUBECACHEDIR=" + filepath.Join(filepath.Dir(kubeconfig), "kubectl"),
	}}
}

// set gives the commands a variable, for what must not be shown.
func (s *shell) set(name, value string) { s.env = append(s.env, name+"="+value) }

// run shows a command, runs it and shows what came back. Its error has the
// command's last words.
func (s *shell) run(ctx context.Context, command string) error {
	_, err := s.read(ctx, command)
	return err
}

// read is run that returns what came back, too.
func (s *shell) read(ctx context.Context, command string) (string, error) {
	s.teller.command("$", command)
	output, err := s.ask(ctx, command)
	s.teller.output(output)
	return output, err
}

// ask runs a command and shows nothing.
func (s *shell) ask(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = slices.Concat(os.Environ(), s.env)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return string(output), ctx.Err()
	}
	if err != nil {
		return string(output), fmt.Errorf("%s\nended with %w: %s", command, err, strings.TrimSpace(lastLines(output, 1)))
	}
	return string(output), nil
}
