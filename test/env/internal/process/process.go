// Package process runs the platform's servers and pods as child processes that
// cannot outlive this one.
package process

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a running or finished child with its process group. Its methods
// may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read after done
}

// Start starts cmd in a process group of its own, so that Ctrl-C in the
// terminal reaches this process alone. The kernel kills the child when this
// process dies, however it dies. Give Stdout and Stderr as files: what else
// would be copied can keep a dead child's Done from closing.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL

	var err error
	OnLastingThread(func() { err = cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// OnLastingThread runs f on a thread that ends with this process and not
// before. A child's death signal is sent when the thread that forked ends, so
// this is where a child that has one must be started. Calls run one by one.
func OnLastingThread(f func()) {
	done := make(chan struct{})
	starter() <- func() { defer close(done); f() }
	<-done
}

// starter is the goroutine that holds the thread; it waits for calls for ever.
var starter = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// PID is the child's process ID, which is its process group's too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended: nil for exit code 0. Call it after Done.
func (p *Process) Err() error { return p.err }

// ExitCode is the child's exit code, or 128 plus the signal that killed it, as
// a shell counts. Call it after Done.
func (p *Process) ExitCode() int {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the child alone, as a kubelet does. A child that
// has ended is not an error.
func (p *Process) Signal(signal syscall.Signal) error {
	select {
	case <-p.done: // its ID may be another process's by now
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		select {
		case <-p.done:
			return nil
		default:
			return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
		}
	}
	return nil
}

// Kill ends the child's whole process group at once and waits for the child.
func (p *Process) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // fails only where nothing is left to kill
	<-p.done
}

// Stop asks the child to end with SIGTERM and kills its process group when it
// has not within grace. It returns after the child has ended.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM) // Kill follows whatever came of it
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
	}
}
