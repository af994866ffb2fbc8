//go:build !linux

package fastnet

import (
	"os"
	"syscall"
)

// shadow refuses: options are read back on Linux only.
func (k shadowKind) shadow(func(c syscall.RawConn) error) (socketOptions, error) {
	return socketOptions{}, os.NewSyscallError("setsockopt", errNoDescriptor)
}
