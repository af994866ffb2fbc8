//go:build !linux

package fastnet

import (
	"syscall"

	"github.com/fastnet-go/fastnet/stack"
)

// Control messages are there on Linux only, as are the options that ask for
// them.

func (c *UDPConn) putControl([]byte, *stack.DatagramInfo) (n, flags int) { return 0, 0 }

func (c *UDPConn) parseControl([]byte, bool) (stack.SendOptions, error) {
	return stack.SendOptions{}, syscall.ENOTSUP
}
