package kernel

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// diagRequest is struct inet_diag_req_v2 of linux/inet_diag.h (sock_diag(7)).
type diagRequest struct {
	family uint8
	port   uint16 // local
}

const diagRequestLen = 56

func (r *diagRequest) Len() int { return diagRequestLen }

func (r *diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestLen)
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	// All states but LISTEN and CLOSE: TIME-WAIT and half-open ones too.
	const closed, listen = 7, 10
	binary.NativeEndian.PutUint32(b[4:], 0xffff&^(1<<closed|1<<listen))
	binary.BigEndian.PutUint16(b[8:], r.port)
	const anyCookie = ^uint32(0)
	binary.NativeEndian.PutUint32(b[48:], anyCookie)
	binary.NativeEndian.PutUint32(b[52:], anyCookie)
	return b
}

// TCPFlows visits the connections that the kernel has on a local port, half-open
// ones and those in TIME-WAIT included, in the thread's network namespace.
func TCPFlows(port uint16, visit func(local, remote netip.AddrPort)) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddData(&diagRequest{family, port})
		msgs, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			local, remote, ok := parseDiag(m)
			if ok && local.Port() == port && remote.Port() != 0 {
				visit(local, remote)
			}
		}
	}
	return nil
}

// parseDiag takes the two ends out of a struct inet_diag_msg.
func parseDiag(m []byte) (local, remote netip.AddrPort, ok bool) {
	if len(m) < 40 {
		return
	}
	end := func(address, port int) netip.AddrPort {
		a := netip.AddrFrom16([16]byte(m[address : address+16])).Unmap()
		if m[0] == unix.AF_INET {
			a = netip.AddrFrom4([4]byte(m[address : address+4]))
		}
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(m[port:]))
	}
	return end(8, 4), end(24, 6), m[0] == unix.AF_INET || m[0] == unix.AF_INET6
}
