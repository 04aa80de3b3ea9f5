package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// alive is the file in a temporary directory that its process keeps locked.
const alive = ".alive"

// TempDir makes a temporary directory, which remove removes; calling that
// again is no error. TempDir first removes
// those with the same prefix whose process died without doing so.
func TempDir(prefix string) (dir string, remove func() error, err error) {
	sweep(prefix)
	dir, err = os.MkdirTemp("", prefix)
	if err != nil {
		return "", nil, err
	}
	file, err := os.Create(filepath.Join(dir, alive))
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a temporary directory: %w", err), os.RemoveAll(dir))
	}
	return dir, func() error {
		_ = file.Close() // the lock ends with it; nothing was written
		return os.RemoveAll(dir)
	}, nil
}

// sweep leaves alone what it may not remove, and what is so young that its
// process may not have locked it yet.
func sweep(prefix string) {
	files, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", alive))
	if err != nil {
		return
	}
	for _, path := range files {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		info, err := file.Stat()
		if err == nil && time.Since(info.ModTime()) > time.Minute && syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = file.Close()
	}
}
