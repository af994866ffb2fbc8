package stack

import (
	"net/netip"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// binding is where a socket is bound: an address, or the wildcard of one family
// or both, and a port.
type binding struct {
	addr addr
	port uint16
	only bool // the IPv6 wildcard without IPv4
}

var (
	any6 = addr{}
	any4 = addr{lo: mappedPrefix}
)

// bindings are those of the sockets that a packet may be for, the most specific first.
func (t *tuple) bindings() [3]binding {
	if t.local.is4() {
		return [3]binding{{addr: t.local, port: t.localPort}, {addr: any4, port: t.localPort}, {addr: any6, port: t.localPort}}
	}
	return [3]binding{{addr: t.local, port: t.localPort}, {addr: any6, port: t.localPort}, {addr: any6, port: t.localPort, only: true}}
}

// conflicts reports whether two bindings can not be told apart by some packet.
func (b binding) conflicts(o binding) bool {
	if b.port != o.port {
		return false
	}
	if b.addr == o.addr {
		return true
	}
	if defect.On(defect.WildcardPortShared) {
		return false
	}
	covers := func(w, a binding) bool {
		switch w.addr {
		case any6:
			return !w.only || !a.addr.is4()
		case any4:
			return a.addr.is4() || a.addr == any6 && !a.only
		}
		return false
	}
	return covers(b, o) || covers(o, b)
}

// bindAddr turns the address that a socket asks for into a binding.
func (h *Host) bindAddr(a netip.AddrPort, v6only bool) (binding, error) {
	ip := a.Addr().WithZone("").Unmap()
	b := binding{addr: toAddr(ip), port: a.Port()}
	switch {
	case !ip.IsValid() || ip == netip.IPv6Unspecified():
		b.addr, b.only = any6, v6only && ip.IsValid() && !defect.On(defect.V6OnlyIgnored)
	case ip.IsUnspecified():
	case isLinkLocal(ip) && a.Addr().Zone() != "" && h.scopeInterface(a.Addr(), netip.Addr{}) == nil:
		return b, errInvalid // as Linux: no such interface
	case !h.isLocal(ip) && !ip.IsMulticast():
		return b, syscall.EADDRNOTAVAIL
	}
	return b, nil
}
