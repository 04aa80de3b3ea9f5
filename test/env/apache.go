package env

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/weir-dev/weir/test/env/internal/process"
	"github.com/weir-dev/weir/test/env/internal/store"
)

const apacheVersion = "4.3.0" // as in kafka/pom.xml

//go:embed kafka
var apacheFiles embed.FS

// startApacheKafka formats and starts one broker in a temporary directory. It
// takes some five seconds, and the fetching of the jars the first time.
func startApacheKafka(ctx context.Context) (_ *Kafka, err error) {
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	jars, err := apacheJars(ctx)
	if err != nil {
		return nil, err
	}

	dir, removeDir, err := store.TempDir("weir-kafka-")
	if err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	port, releasePort, err := store.Port()
	if err != nil {
		return nil, errors.Join(err, removeDir())
	}
	controllerPort, releaseControllerPort, err := store.Port()
	if err != nil {
		releasePort()
		return nil, errors.Join(err, removeDir())
	}
	var broker *process.Process
	stop := func() error {
		if broker != nil {
			broker.Kill() // an orderly stop takes seconds and serves nobody: the data goes too
		}
		releasePort()
		releaseControllerPort()
		return removeDir()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()

	k := &Kafka{
		Bootstrap: []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		Admin:     User{Name: "admin", Password: rand.Text(), Mechanism: ScramSHA512},
		stop:      stop,
	}
	if err := writeApacheConfig(dir, k.Admin, port, controllerPort); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	run := func(ctx context.Context, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, java, append([]string{
			"-Xmx768m", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // start fast; throughput is not measured here
			"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"),
			"-cp", filepath.Join(jars, "*"),
		}, args...)...)
	}

	properties := filepath.Join(dir, "server.properties")
	scram := fmt.Sprintf("[name=%s,password=%s]", k.Admin.Name, k.Admin.Password)
	format := run(ctx, "kafka.tools.StorageTool", "format", "--config", properties, "--cluster-id", clusterID(),
		"--add-scram", ScramSHA256+"="+scram, "--add-scram", ScramSHA512+"="+scram)
	if output, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format Apache Kafka's storage: %w\n%s", err, output)
	}

	log, err := os.Create(filepath.Join(dir, "kafka.log"))
	if err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	defer log.Close() // the broker has its own copy
	server := run(context.WithoutCancel(ctx), "kafka.Kafka", properties)
	server.Stdout, server.Stderr = log, log
	if broker, err = process.Start(server); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := k.await(ctx, k.Admin, broker.Done()); err != nil {
		output, _ := os.ReadFile(log.Name()) // the error says enough without it
		return nil, fmt.Errorf("start Apache Kafka: %w\n%s", err, output)
	}
	return k, nil
}

func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java"), nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("Apache Kafka needs Java 17 or newer: apt-get install openjdk-17-jre-headless, or set JAVA_HOME")
	}
	return java, nil
}

// apacheJars is the directory of Kafka's jars: of KAFKA_HOME, or fetched by Maven.
func apacheJars(ctx context.Context) (string, error) {
	if home := os.Getenv("KAFKA_HOME"); home != "" {
		return filepath.Join(home, "libs"), nil
	}
	dir, err := store.Path("kafka-" + apacheVersion)
	if err != nil {
		return "", err
	}
	err = store.Fill(ctx, dir, "fetching Apache Kafka "+apacheVersion+" by Maven", func(ctx context.Context, partial string) error {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return errors.New("install Maven (apt-get install maven), or set KAFKA_HOME to an unpacked Apache Kafka")
		}
		project, err := os.MkdirTemp("", "weir-maven-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(project)
		pom, err := apacheFiles.ReadFile("kafka/pom.xml")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(project, "pom.xml"), pom, 0o644); err != nil {
			return err
		}
		args := []string{"-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory=" + partial}
		if home := os.Getenv("HOME"); home != "" { // Java asks the system for the home directory, which may not exist
			args = append(args, "-Dmaven.repo.local="+filepath.Join(home, ".m2", "repository"))
		}
		cmd := exec.CommandContext(ctx, mvn, args...)
		cmd.Dir = project
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	})
	return dir, err
}

func writeApacheConfig(dir string, admin User, port, controllerPort int) error {
	properties, err := template.ParseFS(apacheFiles, "kafka/server.properties")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	err = properties.Execute(&text, map[string]any{
		"Dir": dir, "Port": port, "ControllerPort": controllerPort, "User": admin.Name, "Password": admin.Password,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "server.properties"), text.Bytes(), 0o600); err != nil {
		return err
	}
	logging, err := apacheFiles.ReadFile("kafka/log4j2.properties")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "log4j2.properties"), logging, 0o644)
}

// clusterID is random, in Kafka's form: 22 characters of base64url.
func clusterID() string {
	return strings.ToLower(rand.Text())[:22]
}
