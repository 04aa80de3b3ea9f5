package kubelet

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// assignPorts gives each port of the container a free one: as containerPort,
// in the variable <PORT NAME>_PORT where the container has it, and in the
// probes that name the port by its number.
func assignPorts(container *corev1.Container, free func() (int32, error)) error {
	for i := range container.Ports {
		port := &container.Ports[i]
		assigned, err := free()
		if err != nil {
			return err
		}
		variable := strings.ToUpper(strings.ReplaceAll(port.Name, "-", "_")) + "_PORT"
		for j := range container.Env {
			if container.Env[j].Name == variable {
				container.Env[j].Value = strconv.Itoa(int(assigned))
			}
		}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
			if probe != nil && probe.HTTPGet != nil && probe.HTTPGet.Port == intstr.FromInt32(port.ContainerPort) {
				probe.HTTPGet.Port = intstr.FromInt32(assigned)
			}
		}
		port.ContainerPort = assigned
	}
	return nil
}

// commandLine is what a container's process is started with.
type commandLine struct {
	path string
	args []string
	env  []string // NAME=value, sorted
}

// resolve turns a pod's first container into a command line of this machine.
// The paths of its volume mounts become mounts' directories, where a command,
// an argument or a variable's value begins with one, also after "=".
func resolve(object *corev1.Pod, commands, mounts map[string]string, lookUp func(*corev1.EnvVarSource) (string, bool, error)) (commandLine, error) {
	container := object.Spec.Containers[0]
	if len(object.Spec.Containers) > 1 || len(object.Spec.InitContainers) > 0 {
		return commandLine{}, fmt.Errorf("the local kubelet runs pods of one container")
	}
	variables := map[string]string{}
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			variables[variable.Name] = localPath(expand(variable.Value, variables), mounts)
			continue
		}
		value, found, err := lookUp(variable.ValueFrom)
		if err != nil {
			return commandLine{}, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		if found {
			variables[variable.Name] = value
		}
	}
	if len(container.EnvFrom) > 0 {
		return commandLine{}, fmt.Errorf("the local kubelet does not know envFrom")
	}

	words := make([]string, 0, len(container.Command)+len(container.Args))
	for _, word := range slices.Concat(container.Command, container.Args) {
		words = append(words, localPath(expand(word, variables), mounts))
	}
	if len(container.Command) == 0 {
		return commandLine{}, fmt.Errorf("the local kubelet does not know the image %s: the container needs a command", container.Image)
	}
	path, ok := commands[container.Command[0]]
	if !ok {
		return commandLine{}, fmt.Errorf("exec: %q: no such file in the image", container.Command[0])
	}
	line := commandLine{path: path, args: words[1:]}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		line.env = append(line.env, name+"="+variables[name])
	}
	return line, nil
}

// expand replaces $(NAME) by the variable's value, leaves unknown ones, and
// makes $$ a single $, as Kubernetes does in commands, arguments and variables.
func expand(text string, variables map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			return b.String() + text
		}
		b.WriteString(text[:i])
		rest := text[i+1:]
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		value, known := variables[name]
		switch {
		case rest[0] == '$':
			b.WriteByte('$')
			text = rest[1:]
		case rest[0] == '(' && closed && known:
			b.WriteString(value)
			text = after
		default:
			b.WriteByte('$')
			text = rest
		}
	}
}

// localPath replaces a mount path by its directory.
func localPath(text string, mounts map[string]string) string {
	prefix, path := "", text
	if name, value, ok := strings.Cut(text, "="); ok {
		prefix, path = name+"=", value
	}
	// The longest mount path first: one may lie below another.
	for _, mount := range slices.Backward(slices.Sorted(maps.Keys(mounts))) {
		if rest, ok := strings.CutPrefix(path, mount); ok && (rest == "" || rest[0] == '/') {
			return prefix + filepath.Join(mounts[mount], rest)
		}
	}
	return text
}
