package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
)

// explain shows what helps to find out why a chapter does not hold.
func (d *demo) explain(ctx context.Context, look string) {
	command := "kubectl describe " + look
	if look == "weir -A" { // describe knows no categories
		command = "kubectl get weir -A -o wide; kubectl get pods -A"
	}
	if err := d.run(ctx, command); err != nil {
		d.say("%v", err)
	}
	logs, err := filepath.Glob(filepath.Join(d.parts.logDir(), "*.log"))
	if err != nil {
		d.say("%v", err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			d.say("%v", err)
			continue
		}
		d.say("The last lines of %s:", filepath.Base(path))
		d.output(lastLines(text, 10))
	}
}

// lastLines are the last n lines of text, each cut to two lines of a terminal.
func lastLines(text []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		b.Write(line[:min(len(line), 3*columns)])
		b.WriteByte('\n')
	}
	return b.String()
}
