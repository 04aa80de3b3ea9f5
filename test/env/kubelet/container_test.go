package kubelet

import (
	"testing"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"PORT": "8080", "EMPTY": ""}
	for text, want := range map[string]string{
		"--listen=:$(PORT)": "--listen=:8080",
		"$(PORT)$(EMPTY)x":  "8080x",
		"$(UNKNOWN)":        "$(UNKNOWN)",
		"$$(PORT)":          "$(PORT)",
		"$PORT and 5$":      "$PORT and 5$",
		"$(PORT":            "$(PORT",
	} {
		if got := expand(text, variables); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	mounts := map[string]string{"/etc/weir": "/tmp/a", "/etc/weir/more": "/tmp/b"}
	for text, want := range map[string]string{
		"--dir=/etc/weir":          "--dir=/tmp/a",
		"/etc/weir/ca.crt":         "/tmp/a/ca.crt",
		"--file=/etc/weir/more/x":  "--file=/tmp/b/x",
		"/etc/weirdly":             "/etc/weirdly",
		"postgres://h/etc/weir":    "postgres://h/etc/weir",
		"--name=a=/etc/weir":       "--name=a=/etc/weir",
		"--other=/var/run/secrets": "--other=/var/run/secrets",
	} {
		if got := localPath(text, mounts); got != want {
			t.Errorf("localPath(%q) = %q, want %q", text, got, want)
		}
	}
}
