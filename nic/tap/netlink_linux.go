package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// The kernel's end is set up through rtnetlink (RFC 3549 section 3). Numbers in
// its messages are in the machine's own byte order.
var ne = binary.NativeEndian

// link is what the kernel says of an interface.
type link struct {
	index   int32
	up      bool // administratively, and with a carrier
	adminUp bool
	mtu     int
}

// rtnetlink asks the kernel questions, one at a time.
type rtnetlink struct {
	fd  int
	seq uint32
}

// openNetlink opens a socket in the thread's network namespace. groups are the
// announcements to receive.
func openNetlink(groups uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("opening an rtnetlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("binding an rtnetlink socket: %w", err)
	}
	return fd, nil
}

func (n *rtnetlink) close() { unix.Close(n.fd) }

// request sends one message and calls reply with each answer to it, until the
// kernel has acknowledged it.
func (n *rtnetlink) request(kind, flags uint16, body []byte, reply func(kind uint16, body []byte)) error {
	n.seq++
	msg := message(kind, flags|unix.NLM_F_ACK, n.seq, body)
	if err := unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		size, _, err := unix.Recvfrom(n.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		done := false
		eachMessage(buf[:size], func(kind uint16, seq uint32, body []byte) {
			switch {
			case seq != n.seq || done:
			case kind == unix.NLMSG_ERROR && len(body) >= 4: // 0: acknowledged
				if errno := -int32(ne.Uint32(body)); errno != 0 {
					err = unix.Errno(errno)
				}
				done = true
			case reply != nil:
				reply(kind, body)
			}
		})
		if done {
			return err
		}
	}
}

// message returns a request with its header.
func message(kind, flags uint16, seq uint32, body []byte) []byte {
	b := make([]byte, 0, unix.SizeofNlMsghdr+len(body))
	b = ne.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(body)))
	b = ne.AppendUint16(b, kind)
	b = ne.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = ne.AppendUint32(b, seq)
	b = ne.AppendUint32(b, 0) // the sender's port: the kernel knows it
	return append(b, body...)
}

// eachMessage calls f for each netlink message in b.
func eachMessage(b []byte, f func(kind uint16, seq uint32, body []byte)) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(ne.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		f(ne.Uint16(b[4:]), ne.Uint32(b[8:]), b[unix.SizeofNlMsghdr:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}

// appendAttribute appends a routing attribute.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = ne.AppendUint16(b, uint16(4+len(value)))
	b = ne.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, "\x00\x00\x00"[:-len(value)&3]...)
}

// parseLink reads the body of an RTM_NEWLINK or RTM_DELLINK message.
func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, false
	}
	l.index = int32(ne.Uint32(b[4:]))
	flags := ne.Uint32(b[8:])
	l.adminUp = flags&unix.IFF_UP != 0
	l.up = l.adminUp && flags&unix.IFF_LOWER_UP != 0
	for b = b[unix.SizeofIfInfomsg:]; len(b) >= 4; {
		size := int(ne.Uint16(b))
		if size < 4 || size > len(b) {
			return l, false
		}
		if ne.Uint16(b[2:]) == unix.IFLA_MTU && size >= 8 {
			l.mtu = int(ne.Uint32(b[4:]))
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return l, true
}

func infoMessage(index int32, flags, change uint32) []byte {
	b := make([]byte, 4, 64) // family, padding, type
	b = ne.AppendUint32(b, uint32(index))
	b = ne.AppendUint32(b, flags)
	return ne.AppendUint32(b, change)
}

// get returns the state of the interface name.
func (n *rtnetlink) get(name string) (link, error) {
	var found link
	ok := false
	body := appendAttribute(infoMessage(0, 0, 0), unix.IFLA_IFNAME, append([]byte(name), 0))
	err := n.request(unix.RTM_GETLINK, 0, body, func(kind uint16, body []byte) {
		if kind == unix.RTM_NEWLINK {
			found, ok = parseLink(body)
		}
	})
	if err == nil && !ok {
		err = unix.ENODEV
	}
	return found, err
}

// setMTU sets an interface's MTU.
func (n *rtnetlink) setMTU(index int32, mtu int) error {
	body := appendAttribute(infoMessage(index, 0, 0), unix.IFLA_MTU, ne.AppendUint32(nil, uint32(mtu)))
	return n.request(unix.RTM_NEWLINK, 0, body, nil)
}

// setUp brings an interface up.
func (n *rtnetlink) setUp(index int32) error {
	return n.request(unix.RTM_NEWLINK, 0, infoMessage(index, unix.IFF_UP, unix.IFF_UP), nil)
}

// addAddress adds an address with its prefix. One that is there already is fine.
func (n *rtnetlink) addAddress(index int32, a netip.Prefix) error {
	family, flags := byte(unix.AF_INET), byte(0)
	if a.Addr().Is6() {
		// No duplicate address detection: the address would be tentative for
		// a second, and listening on it fail (RFC 4862 section 5.4).
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	body := []byte{family, byte(a.Bits()), flags, unix.RT_SCOPE_UNIVERSE}
	body = ne.AppendUint32(body, uint32(index))
	ip := a.Addr().AsSlice()
	body = appendAttribute(body, unix.IFA_LOCAL, ip)
	body = appendAttribute(body, unix.IFA_ADDRESS, ip)
	err := n.request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body, nil)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// isLocal reports whether ip is an address of the kernel's, on any interface.
func (n *rtnetlink) isLocal(ip netip.Addr) (local bool, err error) {
	family := byte(unix.AF_INET)
	if ip.Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, byte(ip.BitLen()), 11: 0} // struct rtmsg
	body = appendAttribute(body, unix.RTA_DST, ip.AsSlice())
	err = n.request(unix.RTM_GETROUTE, 0, body, func(kind uint16, body []byte) {
		local = kind == unix.RTM_NEWROUTE && len(body) >= unix.SizeofRtMsg && body[7] == unix.RTN_LOCAL
	})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return false, nil
	}
	return local, err
}

// settle waits until an IPv6 address of an interface that is up can be used.
// Even without duplicate address detection the kernel joins its solicited-node
// group, and enters the route that makes it local, from a worker of its own
// (addrconf_dad_work). Before that it ignores questions and answers, and who
// asked asks again a second later (RFC 4861 section 10, RETRANS_TIMER).
func (n *rtnetlink) settle(ip netip.Addr) error {
	for range 500 {
		if local, err := n.isLocal(ip); err != nil || local {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil // it will be usable some time
}

// setUpKernelEnd gives the interface name what cfg says of it and returns its
// state. What is so already needs no privilege.
func setUpKernelEnd(name string, cfg *Config) (link, error) {
	fd, err := openNetlink(0)
	if err != nil {
		return link{}, err
	}
	n := &rtnetlink{fd: fd}
	defer n.close()
	l, err := n.get(name)
	if err != nil {
		return link{}, fmt.Errorf("looking up %s: %w", name, err)
	}
	if cfg.MTU != 0 && cfg.MTU != l.mtu {
		if err := n.setMTU(l.index, cfg.MTU); err != nil {
			return l, kernelEndError(err, "setting the MTU of %s to %d", "ip link set %s mtu %d", name, cfg.MTU)
		}
	}
	for _, a := range cfg.HostAddrs {
		if err := n.addAddress(l.index, a); err != nil {
			return l, kernelEndError(err, "giving %s the address %v", "ip address add dev %s %v", name, a)
		}
	}
	if (cfg.Up || len(cfg.HostAddrs) > 0) && !l.adminUp {
		if err := n.setUp(l.index); err != nil {
			return l, kernelEndError(err, "bringing %s up", "ip link set %s up", name)
		}
	}
	if l, err = n.get(name); err != nil {
		return l, err
	}
	for _, a := range cfg.HostAddrs {
		if a.Addr().Is6() && l.up {
			if err := n.settle(a.Addr()); err != nil {
				return l, fmt.Errorf("looking up the route to %v of %s: %w", a, name, err)
			}
		}
	}
	for _, a := range cfg.Addrs {
		local, err := n.isLocal(a.Addr())
		if err != nil {
			return l, fmt.Errorf("looking up the route to %v: %w", a, err)
		}
		if local {
			return l, fmt.Errorf("addr=%v: the kernel has this address itself: choose another one for this end of %s, not that of host: %w", a, name, unix.EADDRINUSE)
		}
	}
	return l, nil
}

// kernelEndError says what failed, and with which command an administrator can
// do it beforehand.
func kernelEndError(err error, what, command string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s needs CAP_NET_ADMIN: run as root, or do it beforehand with \"%s\": %w",
			what, fmt.Sprintf(command, args...), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// state is l as the device reports it.
func (l link) state() nic.Link { return nic.Link{Up: l.up, MTU: l.mtu} }
