package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Numbers in rtnetlink's messages (RFC 3549 section 3) are in the machine's own
// byte order.
var ne = binary.NativeEndian

// State is what the kernel says of an interface.
type State struct {
	Index   int32
	Up      bool // administratively, and with a carrier
	AdminUp bool
	MTU     int     // bytes
	Type    uint16  // of its frames: unix.ARPHRD_ETHER, ...
	MAC     nic.MAC // zero if its address has not 6 bytes
}

// Link is s as a device reports it.
func (s State) Link() nic.Link { return nic.Link{Up: s.Up, MTU: s.MTU} }

// Socket asks the kernel questions, one at a time, about the network namespace
// in which it was opened.
type Socket struct {
	fd  int
	seq uint32
}

// Open opens a socket in the thread's network namespace.
func Open() (*Socket, error) {
	fd, err := openNetlink(0)
	if err != nil {
		return nil, err
	}
	return &Socket{fd: fd}, nil
}

// openNetlink opens a socket. groups are the announcements to receive.
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

// Close closes the socket.
func (n *Socket) Close() { unix.Close(n.fd) }

// Request sends one message (its type, flags and what follows the header) and
// calls reply, which may be nil, with the type and body of each answer, until
// the kernel has acknowledged it. The error is the kernel's, a unix.Errno.
func (n *Socket) Request(kind, flags uint16, body []byte, reply func(kind uint16, body []byte)) error {
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

// AppendAttribute appends a routing attribute.
func AppendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = ne.AppendUint16(b, uint16(4+len(value)))
	b = ne.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, "\x00\x00\x00"[:-len(value)&3]...)
}

// parse reads the body of an RTM_NEWLINK or RTM_DELLINK message.
func parse(b []byte) (s State, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return s, false
	}
	s.Type = ne.Uint16(b[2:])
	s.Index = int32(ne.Uint32(b[4:]))
	flags := ne.Uint32(b[8:])
	s.AdminUp = flags&unix.IFF_UP != 0
	s.Up = s.AdminUp && flags&unix.IFF_LOWER_UP != 0
	for b = b[unix.SizeofIfInfomsg:]; len(b) >= 4; {
		size := int(ne.Uint16(b))
		if size < 4 || size > len(b) {
			return s, false
		}
		switch kind, value := ne.Uint16(b[2:]), b[4:size]; {
		case kind == unix.IFLA_MTU && len(value) >= 4:
			s.MTU = int(ne.Uint32(value))
		case kind == unix.IFLA_ADDRESS && len(value) == len(s.MAC):
			s.MAC = nic.MAC(value)
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return s, true
}

// InfoMessage is a struct ifinfomsg: the body of a request about an interface, to
// which attributes may be appended. change is the mask of the flags to set.
func InfoMessage(index int32, flags, change uint32) []byte {
	b := make([]byte, 4, 64) // family, padding, type
	b = ne.AppendUint32(b, uint32(index))
	b = ne.AppendUint32(b, flags)
	return ne.AppendUint32(b, change)
}

// Get returns the state of the interface name; unix.ENODEV if there is none.
func (n *Socket) Get(name string) (State, error) {
	var found State
	ok := false
	body := AppendAttribute(InfoMessage(0, 0, 0), unix.IFLA_IFNAME, append([]byte(name), 0))
	err := n.Request(unix.RTM_GETLINK, 0, body, func(kind uint16, body []byte) {
		if kind == unix.RTM_NEWLINK {
			found, ok = parse(body)
		}
	})
	if err == nil && !ok {
		err = unix.ENODEV
	}
	return found, err
}

// SetMTU sets an interface's MTU.
func (n *Socket) SetMTU(index int32, mtu int) error {
	body := AppendAttribute(InfoMessage(index, 0, 0), unix.IFLA_MTU, ne.AppendUint32(nil, uint32(mtu)))
	return n.Request(unix.RTM_NEWLINK, 0, body, nil)
}

// SetUp brings an interface up, or down.
func (n *Socket) SetUp(index int32, up bool) error {
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	return n.Request(unix.RTM_NEWLINK, 0, InfoMessage(index, flags, unix.IFF_UP), nil)
}

// Delete deletes an interface.
func (n *Socket) Delete(index int32) error {
	return n.Request(unix.RTM_DELLINK, 0, InfoMessage(index, 0, 0), nil)
}

// AddAddress adds an address with its prefix. One that is there already is fine.
func (n *Socket) AddAddress(index int32, a netip.Prefix) error {
	family, flags := byte(unix.AF_INET), byte(0)
	if a.Addr().Is6() {
		// No duplicate address detection: the address would be tentative for
		// a second, and listening on it fail (RFC 4862 section 5.4).
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	body := []byte{family, byte(a.Bits()), flags, unix.RT_SCOPE_UNIVERSE}
	body = ne.AppendUint32(body, uint32(index))
	ip := a.Addr().AsSlice()
	body = AppendAttribute(body, unix.IFA_LOCAL, ip)
	body = AppendAttribute(body, unix.IFA_ADDRESS, ip)
	err := n.Request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body, nil)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// IsLocal reports whether ip is an address of the kernel's, on any interface.
func (n *Socket) IsLocal(ip netip.Addr) (local bool, err error) {
	family := byte(unix.AF_INET)
	if ip.Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, byte(ip.BitLen()), 11: 0} // struct rtmsg
	body = AppendAttribute(body, unix.RTA_DST, ip.AsSlice())
	err = n.Request(unix.RTM_GETROUTE, 0, body, func(kind uint16, body []byte) {
		local = kind == unix.RTM_NEWROUTE && len(body) >= unix.SizeofRtMsg && body[7] == unix.RTN_LOCAL
	})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return false, nil
	}
	return local, err
}

// Settle waits until an IPv6 address of an interface that is up can be used.
// Even without duplicate address detection the kernel joins its solicited-node
// group, and enters the route that makes it local, from a worker of its own
// (addrconf_dad_work). Before that it ignores questions and answers, and who
// asked asks again a second later (RFC 4861 section 10, RETRANS_TIMER).
func (n *Socket) Settle(ip netip.Addr) error {
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if local, err := n.IsLocal(ip); err != nil || local {
			return err
		}
	}
	return nil // it will be usable some time
}

// settleTime bounds Settle. The worker, which is every interface's, takes milliseconds
// on an idle machine.
const settleTime = 10 * time.Second
