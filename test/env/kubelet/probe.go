package kubelet

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// verdict is what a probe found: about readiness, or that the container must
// be restarted.
type verdict struct {
	started bool
	ready   bool
	restart string // why, where it must
}

// eager is the longest wait between probes until the first success: a kubelet
// waits a whole period, which here would only make everybody wait.
const eager = 250 * time.Millisecond

// probe runs a container's probes until ctx ends, and sends each change of
// the verdict. The channel is closed when the probes have ended.
func probe(ctx context.Context, container *corev1.Container) <-chan verdict {
	verdicts := make(chan verdict)
	send := func(v verdict) {
		select {
		case verdicts <- v:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(verdicts)
		if !awaitStart(ctx, container, send) {
			return
		}
		send(verdict{started: true, ready: container.ReadinessProbe == nil})
		var both sync.WaitGroup
		defer both.Wait()
		both.Go(func() {
			watch(ctx, container.ReadinessProbe, container, false, func(ready bool, _ error) { send(verdict{started: true, ready: ready}) })
		})
		both.Go(func() {
			watch(ctx, container.LivenessProbe, container, true, func(alive bool, err error) {
				if !alive {
					send(verdict{restart: fmt.Sprintf("Liveness probe failed: %v", err)})
				}
			})
		})
	}()
	return verdicts
}

// awaitStart waits for the startup probe's first success, at most as long as
// its thresholds allow, and says whether it came.
func awaitStart(ctx context.Context, container *corev1.Container, send func(verdict)) bool {
	startup := container.StartupProbe
	if startup == nil {
		return true
	}
	deadline := time.Now().Add(seconds(startup.InitialDelaySeconds) + seconds(startup.PeriodSeconds)*time.Duration(startup.FailureThreshold))
	for {
		err := check(ctx, startup, container)
		if err == nil {
			return true
		}
		if time.Now().After(deadline) {
			send(verdict{restart: fmt.Sprintf("Startup probe failed: %v", err)})
			return false
		}
		if !sleep(ctx, min(eager, seconds(startup.PeriodSeconds))) {
			return false
		}
	}
}

// watch runs a probe each period and reports when its verdict changes, by its
// thresholds. A nil probe never changes it.
func watch(ctx context.Context, probe *corev1.Probe, container *corev1.Container, passing bool, report func(bool, error)) {
	if probe == nil || !sleep(ctx, seconds(probe.InitialDelaySeconds)) {
		return
	}
	passed := passing
	successes, failures := int32(0), int32(0)
	for {
		err := check(ctx, probe, container)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			successes, failures = successes+1, 0
			passed = true
		} else {
			successes, failures = 0, failures+1
		}
		switch {
		case !passing && successes >= max(1, probe.SuccessThreshold):
			passing = true
			report(true, nil)
		case passing && failures >= max(1, probe.FailureThreshold):
			passing = false
			report(false, err)
		}
		period := seconds(probe.PeriodSeconds)
		if !passed {
			period = min(eager, period)
		}
		if !sleep(ctx, period) {
			return
		}
	}
}

// check runs a probe once.
func check(ctx context.Context, probe *corev1.Probe, container *corev1.Container) error {
	ctx, cancel := context.WithTimeout(ctx, max(time.Second, seconds(probe.TimeoutSeconds)))
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return checkHTTP(ctx, probe.HTTPGet, container)
	case probe.TCPSocket != nil:
		address, err := probeAddress(probe.TCPSocket.Host, probe.TCPSocket.Port, container)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	default:
		return fmt.Errorf("the local kubelet knows httpGet and tcpSocket probes")
	}
}

// probeClient trusts any certificate, as a kubelet does.
var probeClient = &http.Client{Transport: &http.Transport{
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	DisableKeepAlives: true,
}}

func checkHTTP(ctx context.Context, get *corev1.HTTPGetAction, container *corev1.Container) error {
	address, err := probeAddress(get.Host, get.Port, container)
	if err != nil {
		return err
	}
	scheme := strings.ToLower(string(get.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/"+strings.TrimPrefix(get.Path, "/"), nil)
	if err != nil {
		return err
	}
	for _, header := range get.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	response, err := probeClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 256)) // for the message only
		return fmt.Errorf("HTTP probe failed with statuscode: %d %s", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

func probeAddress(host string, port intstr.IntOrString, container *corev1.Container) (string, error) {
	if host == "" {
		host = podIP
	}
	number := port.IntVal
	if port.Type == intstr.String {
		number = 0
		for _, p := range container.Ports {
			if p.Name == port.StrVal {
				number = p.ContainerPort
			}
		}
		if number == 0 {
			return "", fmt.Errorf("the container has no port named %q", port.StrVal)
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(int(number))), nil
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// sleep waits, and says false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
