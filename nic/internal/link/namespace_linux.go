package link

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// InNamespace runs f in the network namespace at path, on a thread that ends
// with it: nothing else ever runs in the wrong one. With an empty path it runs
// f right here. Errors of its own begin with "netns=".
func InNamespace(path string, f func() error) error {
	if path == "" {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread is thrown away
		ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			result <- fmt.Errorf("netns=%s: no such network namespace: %w", path, err)
			return
		}
		defer unix.Close(ns)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("netns=%s: entering it needs CAP_SYS_ADMIN: run as root: %w", path, err)
			return
		}
		result <- f()
	}()
	return <-result
}
