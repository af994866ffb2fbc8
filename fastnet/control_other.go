//go:build !linux

package fastnet

import (
	"os"
	"syscall"
)

// snapshot refuses: options are read back on Linux only.
func snapshot(syscall.RawConn) (map[string]int, error) {
	return nil, os.NewSyscallError("setsockopt", errNoDescriptor)
}

func (o *socketOptions) changed(map[string]int, map[string]int) error { return nil }
