package listener

import (
	"errors"
	"net/netip"
	"syscall"
)

// portTries is how many ports ListenBoth lets the kernel choose.
const portTries = 16

// ListenBoth opens a listener in the kernel and one in the stack on the same port.
// kernel listens on addr and returns its port too; open listens on the address that
// it is given. When addr's port is 0 the kernel chooses, and chooses again if the
// stack has that port in use.
func ListenBoth[C any, S Stack](addr netip.AddrPort, kernel func() (Kernel[C], uint16, error), open func(netip.AddrPort) (S, error)) (S, Kernel[C], error) {
	var none S
	for try := 1; ; try++ {
		k, port, err := kernel()
		if err != nil {
			return none, nil, err
		}
		s, err := open(netip.AddrPortFrom(addr.Addr(), port))
		if err == nil {
			return s, k, nil
		}
		k.Close()
		if addr.Port() != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return none, nil, err
		}
	}
}
