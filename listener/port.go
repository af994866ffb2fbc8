package listener

import (
	"errors"
	"net/netip"
	"syscall"
)

// portTries is how many ports ListenBoth lets the stack choose.
const portTries = 16

// ListenBoth opens a listener in the stack and one in the kernel on the same
// port. When addr's port is 0 the stack chooses, and chooses again if the
// kernel has given that port to somebody else. open and kernel listen on the
// address that they are given.
func ListenBoth[C any, S interface {
	Stack
	Addr() netip.AddrPort
}](addr netip.AddrPort, open func(netip.AddrPort) (S, error), kernel func(port uint16) (Kernel[C], error)) (S, Kernel[C], error) {
	var none S
	for try := 1; ; try++ {
		s, err := open(addr)
		if err != nil {
			return none, nil, err
		}
		k, err := kernel(s.Addr().Port())
		if err == nil {
			return s, k, nil
		}
		s.Close()
		if addr.Port() != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return none, nil, err
		}
	}
}
