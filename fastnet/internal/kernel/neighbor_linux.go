package kernel

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxWanted bounds the neighbours that wait to be asked for: who wants one that
// is left out asks again.
const maxWanted = 1024

// Resolve makes the kernel find a neighbour's address, or confirm the one that it
// has; the handler hears of it. It does not wait.
func (f *Follower) Resolve(a netip.Addr) {
	f.wantMu.Lock()
	if len(f.wanted) < maxWanted {
		f.wanted[a] = struct{}{}
	}
	f.wantMu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// resolve does what Resolve asks for.
func (f *Follower) resolve() {
	for {
		select {
		case <-f.done:
			return
		case <-f.wake:
		}
		f.wantMu.Lock()
		wanted := f.wanted
		f.wanted = make(map[netip.Addr]struct{})
		f.wantMu.Unlock()
		for a := range wanted {
			f.use(a)
		}
	}
}

// use tells the kernel that a neighbour is about to be used, which makes it ask or
// confirm as if it sent a packet itself (NTF_USE, rtnetlink(7)), and passes on what
// it knows already: of that no event would tell.
func (f *Follower) use(a netip.Addr) {
	f.mu.Lock()
	if f.handle == nil {
		f.mu.Unlock()
		return
	}
	err := f.handle.NeighSet(&netlink.Neigh{LinkIndex: f.index, IP: net.IP(a.AsSlice()), Flags: netlink.NTF_USE})
	var n *netlink.Neigh
	if err == nil {
		n, err = getNeighbor(f.asking, f.index, a)
	}
	f.mu.Unlock()
	if err != nil || n == nil || f.handler.Neighbor == nil {
		return
	}
	if at, mac, s, ok := neighborOf(n); ok && s == Known {
		f.handler.Neighbor(at, mac, s)
	}
}

// getNeighbor asks for one neighbour (RTM_GETNEIGH without NLM_F_DUMP, Linux 5.0).
func getNeighbor(socket *nl.NetlinkSocket, index int, a netip.Addr) (*netlink.Neigh, error) {
	family := netlink.FAMILY_V4
	if a.Is6() {
		family = netlink.FAMILY_V6
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket, Seq: req.Seq}}
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err != nil || len(msgs) == 0 {
		return nil, err
	}
	return netlink.NeighDeserialize(msgs[0])
}
