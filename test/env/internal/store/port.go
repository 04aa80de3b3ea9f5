package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Below Linux's range for outgoing connections (32768 and up), so that no
// client's connection takes a port between its choice and its use.
const lowestPort, highestPort = 20000, 32000

// Port is a free TCP port of the loopback address. Until release is called, or
// this process dies, no other process of this user that asks here gets it; the
// one that listens on it may start later, stop and start again.
func Port() (port int, release func(), err error) {
	dir, err := Path("ports")
	if err != nil {
		return 0, nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, nil, fmt.Errorf("reserve a port: %w", err)
	}
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		release, err := reserve(dir, port)
		if err == nil {
			return port, release, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EADDRINUSE) {
			return 0, nil, fmt.Errorf("reserve port %d: %w", port, err)
		}
	}
	return 0, nil, errors.New("reserve a port: none is free after 1000 tries")
}

func reserve(dir string, port int) (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, listener.Close()
}

// listenPatience is how long Listen waits for a port that is about to be free.
const listenPatience = 5 * time.Second

// Listen listens on a port that Port has given. Where a process was being
// started while Port looked, or while the last listener was closed, the child
// holds that listener for a moment longer, until it executes its program.
func Listen(port int) (net.Listener, error) {
	for deadline := time.Now().Add(listenPatience); ; time.Sleep(5 * time.Millisecond) {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return listener, err
		}
	}
}
